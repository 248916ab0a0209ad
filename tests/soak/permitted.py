"""How a run may end, whatever happened to it."""

from __future__ import annotations

from tests.soak.children import Ended
from tests.soak.rounds import Round
from tests.soak.weather import HARMLESS, UNREADABLE


def permits(plan: Round, ended: Ended, *, is_first: bool) -> bool:
    """Whether the disturbed run of a round, or the second one, may end like this."""
    if ended.hangs:
        return False
    if is_first and plan.disturbance.name == "SIGINT" and _died_at_start(ended):
        return True
    codes = {0} if plan.is_quiet and is_first else {0, 3}
    absent = {name: changes.absent for name, changes in plan.changes.items()}
    if not plan.full and ended.lacks_only(absent):
        codes.add(3)
    if plan.second_after is not None:
        codes.add(8)
    if is_first:
        codes |= plan.disturbance.codes
    return ended.code in codes | _codes_of_faults(plan, ended)


def _codes_of_faults(plan: Round, ended: Ended) -> set[int]:
    codes = {6} if plan.outage_s is not None else set[int]()
    for faults in plan.faults.values():
        if faults.keys() - HARMLESS:
            codes.add(6)
        if "error_401" in faults:
            codes.add(5)
        if ended.error_kind == "list" and faults.keys() & UNREADABLE:
            codes.add(1)  # four times in a row
    return codes


def _died_at_start(ended: Ended) -> bool:
    """Whether Python itself was interrupted while it started, before anything of chatlake ran."""
    return "Fatal Python error: init_" in ended.errors
