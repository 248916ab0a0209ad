"""Gives damaged documents to one parser, within bounds of time and memory."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from types import FrameType

from tests.fuzz.mutations import damaged, damaged_values
from tests.fuzz.targets import SHOWN, Target

CPU_SECONDS = 4.0
"""The time that one document of at most 256 KiB may take. On a free machine it takes a tenth."""
MEMORY_BYTES = 1 << 28
"""How far one document may raise the most memory that the process has had."""


class TooSlowError(Exception):
    """A parser is still at work after `CPU_SECONDS`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A document that a parser does not bear."""

    target: str
    document: bytes
    error: Exception


@dataclass(slots=True)
class Tally:
    """What happened to the documents of one target, and the most CPU time that one took."""

    read: int = 0
    refused: int = 0
    slowest_s: float = 0.0


def attempt(target: Target, document: bytes, tally: Tally) -> Finding | None:
    """Parse one document; return a finding if it ends in another way than it may."""
    began, peak = time.process_time(), peak_bytes()
    try:
        with _limited_time():
            target.check(document)
        tally.read += 1
    except target.errors as error:
        tally.refused += 1
        if len(str(error)) > SHOWN:
            return Finding(target.name, document, AssertionError("the message has no bound"))
    except Exception as error:  # noqa: BLE001 - whatever else comes out is what we look for
        return Finding(target.name, document, error)
    finally:
        tally.slowest_s = max(tally.slowest_s, time.process_time() - began)
    grown = peak_bytes() - peak
    if grown > MEMORY_BYTES:
        return Finding(target.name, document, AssertionError(f"took {grown >> 20} MiB more memory"))
    return None


def documents_of(target: Target, random: Random) -> Iterator[bytes]:
    """Yield the good documents of a target, then damaged ones without end."""
    good = target.documents()
    yield from good
    while True:
        document = random.choice(good)
        if target.is_json and random.random() < 0.5:
            yield damaged_values(document, random)
        else:
            yield damaged(document, good, random)


def peak_bytes() -> int:
    """Return the most memory that this process has had at once."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024


@contextmanager
def _limited_time() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlowError(f"more than {CPU_SECONDS:.0f} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
