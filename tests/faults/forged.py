"""What a forger does to a lake: other content, and new hashes to match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chatlake.lake.sealed import seal
from chatlake.model.manifest import PartFile

Change = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Returns a row as it shall be; None where it is not the one to change."""


def forge_row(lake: Path, file: PartFile, change: Change) -> bool:
    """Change the first row that `change` wants, and set the file's new hash in its manifest.

    Return whether there was such a row.
    Nothing else is changed: the commits after it still name the manifest that it was.
    """
    path = lake / file.path
    table = pq.read_table(path, partitioning=None)
    rows = table.to_pylist()
    for number, row in enumerate(rows):
        other = change(dict(row))
        if other is not None:
            assert other != row, "the change changes nothing"
            rows[number] = other
            break
    else:
        return False
    columns = [_array([row[f.name] for row in rows], f.type) for f in table.schema]
    pq.write_table(pa.Table.from_arrays(columns, schema=table.schema), path)
    data = path.read_bytes()
    new = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    for manifest in _documents(lake):
        document = _read(manifest)
        for listed in document.get("added", document.get("files")):
            if listed["path"] == file.path:
                listed.update(new)
                _write(manifest, document)
    return True


def link_again(lake: Path) -> None:
    """Let every commit name the commit before it as that is now."""
    before = ""
    for path in sorted((lake / "manifests").glob("0*.json")):
        document = _read(path)
        document["previous"] = before
        _write(path, document)
        before = hashlib.sha256(path.read_bytes()).hexdigest()


def _documents(lake: Path) -> list[Path]:
    return sorted((lake / "manifests").glob("*.json"))


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    del document["sha256"]
    return document


def _write(path: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    path.write_bytes(seal(text))


def _array(values: list[Any], kind: pa.DataType) -> Any:
    if isinstance(kind, pa.BaseExtensionType):
        storage = pa.array(values, kind.storage_type)
        return pa.ExtensionArray.from_storage(kind, storage)
    return pa.array(values, kind)
