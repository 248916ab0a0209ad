"""`chatlake status --format openmetrics`: the state of the lake for Prometheus.

For the textfile collector of node_exporter, which reads the classic text format: so every metric is
a gauge, without a time of its own, and the text is valid in both formats. The names are a promise:
a metric is added, never renamed. A time that is not known has no sample, except that a source
without a complete backup has time 0, so that a rule on the age fires.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chatlake import __version__
from chatlake.backup.report import FIGURES
from chatlake.cli.status_facts import SourceFacts, StatusFacts
from chatlake.model.manifest import SourceRun, parse_time
from chatlake.model.tables import COMPLETIONS, CONTENT_PARTS, IMAGES, MESSAGES

_STATUSES: Final = ("complete", "incomplete", "failed", "interrupted", "running", "killed")
_UNITS: Final = ("seconds", "bytes")

Sample = tuple[Mapping[str, str], float | None]
"""Labels and value; a value of None has no sample."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name after `chatlake_`, its meaning, and its samples."""

    name: str
    meaning: str
    samples: tuple[Sample, ...]

    def lines(self) -> Iterator[str]:
        """Yield its lines: type, unit, help, samples; nothing where it has no sample."""
        name = f"chatlake_{self.name}"
        shown = [(labels, value) for labels, value in self.samples if value is not None]
        if not shown:
            return
        yield f"# TYPE {name} gauge"
        unit = self.name.rpartition("_")[2]
        if unit in _UNITS:
            yield f"# UNIT {name} {unit}"
        yield f"# HELP {name} {_escaped(self.meaning)}"
        for labels, value in shown:
            yield f"{name}{_labels(labels)} {_number(value)}"


def metrics_text(facts: StatusFacts) -> str:
    """Return all metrics as OpenMetrics text."""
    lines = [line for family in _families(facts) for line in family.lines()]
    return "\n".join([*lines, "# EOF", ""])


def _families(facts: StatusFacts) -> Iterator[Family]:
    yield from _of_lake(facts)
    yield from _of_sources(facts)
    yield from _of_runs([source for source in facts.sources if source.configured], facts)


def _of_lake(facts: StatusFacts) -> Iterator[Family]:
    def one(name: str, meaning: str, value: float | None, **labels: str) -> Family:
        return Family(name, meaning, ((labels, value),))

    yield one("build", "The version of chatlake that wrote this, always 1.", 1, version=__version__)
    yield one("commit", "The number of the lake's newest commit.", facts.commit)
    yield one("writing", "1 while a run is writing.", int(facts.holder is not None))
    yield one("unlisted_files", "Files in the lake that no manifest lists.", facts.unlisted_files)
    yield one("unlisted_bytes", "Size of the files that no manifest lists.", facts.unlisted_bytes)
    yield one(
        "forgotten_completions",
        "Completions erased by `forget` or `keep`, in all.",
        facts.forgotten,
    )
    check = facts.verification
    if check is not None:
        newest, oldest = _seconds(check.newest), _seconds(check.oldest)
        yield one("verify_newest_timestamp_seconds", "When a file was last verified.", newest)
        yield one(
            "verify_oldest_timestamp_seconds",
            "When the file that has waited longest was last verified.",
            oldest,
        )
        yield one("verify_unchecked_files", "Listed files never verified.", check.unchecked)
        yield one("verify_damaged_files", "Listed files that verify found damaged.", check.damaged)


def _of_sources(facts: StatusFacts) -> Iterator[Family]:
    every = facts.sources
    configured = [source for source in every if source.configured]

    def each(
        name: str, meaning: str, sources: Iterable[SourceFacts], values: Iterable[float | None]
    ) -> Family:
        pairs = zip(sources, values, strict=True)
        return Family(name, meaning, tuple(({"source": s.name}, value) for s, value in pairs))

    for table in (COMPLETIONS, MESSAGES, CONTENT_PARTS, IMAGES):
        meaning = f"Rows of the table {table} in the lake."
        yield each(table, meaning, every, [source.rows[table] for source in every])
    yield each("files", "Data files in the lake.", every, [source.files for source in every])
    size = "Size of the data files in the lake."
    yield each("stored_bytes", size, every, [source.bytes for source in every])
    yield each(
        "newest_completion_timestamp_seconds",
        "When the newest stored completion was created.",
        every,
        [_seconds(source.dates.newest) for source in every],
    )
    yield each(
        "open_gaps", "Completions that could not be fetched yet.", every,
        [len(source.gaps) for source in every],
    )  # fmt: skip
    ends = [_end(source.last_complete_run) for source in configured]
    yield each(
        "last_complete_timestamp_seconds",
        "When the last complete backup ended; 0: there was none.",
        configured,
        [_seconds(end) or 0 for end in ends],
    )
    yield each(
        "last_complete_age_seconds",
        "How long ago the last complete backup ended, when this was written.",
        configured,
        [None if end is None else max(0.0, (facts.now - end).total_seconds()) for end in ends],
    )
    yield each(
        "covered_until_timestamp_seconds",
        "Everything created before this time is stored or an open gap.",
        configured,
        [_seconds(source.covered_until) for source in configured],
    )
    yield each(
        "expires_seconds",
        "How long the source keeps what is not stored yet; negative: it may be gone.",
        configured,
        [
            None if source.expires_in is None else source.expires_in.total_seconds()
            for source in configured
        ],
    )
    yield each(
        "silent",
        "1 if the source has had nothing new for longer than its silent_after.",
        configured,
        [int(source.silence is not None) for source in configured],
    )


def _of_runs(sources: list[SourceFacts], facts: StatusFacts) -> Iterator[Family]:
    """Yield the figures of each source's last run, whatever became of it."""
    last = {run.source: run for run in reversed(facts.runs)}
    runs = [last[source.name] for source in sources if source.name in last]

    def each(name: str, meaning: str, values: Iterable[float | None]) -> Family:
        pairs = zip(runs, values, strict=True)
        return Family(name, meaning, tuple(({"source": r.source}, value) for r, value in pairs))

    yield each(
        "last_run_timestamp_seconds",
        "When the last run began, however it ended.",
        [_seconds(parse_time(run.started_at)) for run in runs],
    )
    took = "How long the last run took."
    yield each("last_run_duration_seconds", took, [run.seconds for run in runs])
    yield Family(
        "last_run_status",
        "1 for the status of the last run, 0 for the others.",
        tuple(
            ({"source": run.source, "status": status}, int(run.status == status))
            for run in runs
            for status in _STATUSES
        ),
    )
    for figure in FIGURES:
        meaning = f"Figure `{figure}` of the last run, as `chatlake backup --json` has it."
        yield each(f"last_run_{figure}", meaning, [getattr(run, figure) for run in runs])


def _end(run: SourceRun | None) -> datetime | None:
    return None if run is None else parse_time(run.finished_at or run.started_at)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _labels(labels: Mapping[str, str]) -> str:
    text = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{text}}}" if text else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
