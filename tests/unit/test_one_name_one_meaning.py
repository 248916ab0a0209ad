"""One word, one meaning: the names of the package's classes."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import chatlake

PACKAGE = Path(chatlake.__file__).parent


def test_no_two_public_classes_have_one_name() -> None:
    """A class's name means one thing in the whole package."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(PACKAGE)))
    assert len(places) > 200
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
