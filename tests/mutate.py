"""How many small faults in the code the quick tests notice: `python -m tests.mutate`.

It copies the sources, makes one small change at a time to a module (a comparison, a number, a
condition, a statement less), runs the tests that should notice, and names each change that none of
them did. The choice of changes follows from the seed. A survivor is either a test that is missing,
or a change that makes no difference.

    python -m tests.mutate --seed 2 --each 20            twenty changes in every module below
    python -m tests.mutate model/paging.py --each 100    as many as there are, up to a hundred
"""

from __future__ import annotations

import argparse
import ast
import copy
import functools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = Path("src/chatlake")
TESTS: dict[str, tuple[str, ...]] = {
    "model/paging.py": ("unit/test_paging.py", "property/test_paging_properties.py"),
    "model/compaction.py": ("unit/test_compaction_choice.py",),
    "model/digest.py": ("unit/test_digest.py",),
    "model/pace.py": (
        "unit/test_pace.py",
        "unit/test_pacing.py",
        "unit/test_pace_against_limits.py",
    ),
    "model/retry_after.py": ("unit/test_retry_after.py", "unit/test_pace.py"),
    "backup/kept_messages.py": (
        "unit/test_kept_messages.py",
        "nights/test_nights_fewer_messages.py",
    ),
    "backup/known.py": (
        "unit/test_known.py",
        "integration/test_incremental.py",
        "integration/test_redaction.py",
    ),
    "backup/sweep.py": (
        "unit/test_continuity.py",
        "integration/test_full_sweep.py",
        "integration/test_sweep_of_another_account.py",
    ),
    "lake/checkpoints.py": ("contract/test_lake_manifests.py", "contract/test_lake_store.py"),
    "lake/manifests.py": ("contract/test_lake_manifests.py", "contract/test_lake_store.py"),
    "lake/sealed.py": ("contract/test_lake_manifests.py", "faults/test_forged_manifests.py"),
}
"""The modules in which a fault costs data, and the tests of `make test` that should notice."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
SUMS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change: the module, the line, what stood there and what stands there now, the new source."""

    module: str
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{PACKAGE / self.module}:{self.line}: {self.before}  ->  {self.after}"


def changed(node: ast.AST) -> ast.AST | None:
    """Return what is to stand in the place of a node; None where nothing is."""
    new = copy.deepcopy(node)
    return _other_expression(new) if isinstance(new, ast.expr) else _other_statement(new)


def _other_expression(new: ast.expr) -> ast.expr | None:
    match new:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            new.ops = [COMPARISONS[type(op)]()]
        case ast.BoolOp():
            new.op = ast.Or() if isinstance(new.op, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not()):
            return new.operand
        case ast.BinOp() if type(new.op) in SUMS:
            new.op = SUMS[type(new.op)]()
        case ast.IfExp():
            new.body, new.orelse = new.orelse, new.body
        case ast.Constant(value=bool()):
            new.value = not new.value
        case ast.Constant(value=int() | float()):
            new.value += 1
        case _:
            return None
    return new


def _other_statement(new: ast.AST) -> ast.AST | None:
    match new:
        case ast.If():
            new.test = ast.UnaryOp(ast.Not(), new.test)
            return new
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise():
            return ast.Pass()
        case ast.Continue():
            return ast.Break()
        case ast.Return(value=ast.expr()):
            new.value = ast.Constant(None)
            return new
        case _:
            return None


def mutants(module: str) -> list[Mutant]:
    """Return every change to a module that this program knows, one at each place."""
    tree = ast.parse((ROOT / PACKAGE / module).read_text())
    found = []
    for parent, field, index, node in list(_places(tree)):
        new = changed(node)
        if new is None:
            continue
        ast.copy_location(new, node)
        _put(parent, field, index, new)
        source = ast.unparse(ast.fix_missing_locations(tree))
        _put(parent, field, index, node)
        before, after = (ast.unparse(one).split("\n")[0] for one in (node, new))
        found.append(Mutant(module, getattr(node, "lineno", 0), before, after, source))
    return found


def _places(parent: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Yield every node with its place, but for annotations and what only a type checker runs."""
    for field, value in ast.iter_fields(parent):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(parent, ast.If) and ast.unparse(parent.test) == "TYPE_CHECKING":
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, ast.AST):
                yield parent, field, index, node
                yield from _places(node)


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def fails(module: str, source: str | None, *, longest_s: float) -> bool:
    """Run the tests of a module with this source in its place; say whether one of them fails."""
    with tempfile.TemporaryDirectory(prefix="chatlake-mutant-") as folder:
        shutil.copytree(ROOT / "src", folder, dirs_exist_ok=True)
        if source is not None:
            (Path(folder) / "chatlake" / module).write_text(source)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow"]
        command += ["-p", "no:cacheprovider", "--basetemp", f"{folder}/tests"]
        command += [f"tests/{name}" for name in TESTS[module]]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(longest_s) != 0
        except subprocess.TimeoutExpired:
            return True
        finally:
            process.kill()
            process.wait()


def main() -> int:
    """Print each survivor and a score for each module; the exit code is 0 if none survived."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", choices=[*TESTS, []], help="default: all")
    parser.add_argument("--each", type=int, default=20, help="changes for each module")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    survived, tried = 0, 0
    for module in given.modules or TESTS:
        began = time.monotonic()
        if fails(module, None, longest_s=600):
            print(f"{module}: its tests fail without any change")
            return 2
        longest_s = 10 + 5 * (time.monotonic() - began)
        every = mutants(module)
        # Not hash(): that of a text is another one in each process.
        chosen = random.Random(f"{given.seed} {module}").sample(every, min(given.each, len(every)))
        with ThreadPoolExecutor(given.jobs) as pool:
            sources = [one.source for one in chosen]
            ends = pool.map(functools.partial(fails, module, longest_s=longest_s), sources)
            alive = [one for one, is_noticed in zip(chosen, ends, strict=True) if not is_noticed]
        for one in sorted(alive, key=lambda one: one.line):
            print(f"survived: {one}")
        print(f"{module}: {len(chosen) - len(alive)} of {len(chosen)} noticed", flush=True)
        survived, tried = survived + len(alive), tried + len(chosen)
    print(f"{tried - survived} of {tried} noticed: {100 * (tried - survived) // tried} %")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
