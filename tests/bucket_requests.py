"""How many requests to its bucket each command sends: `python -m tests.bucket_requests`.

A lake of two days, three backups of 25 completions, against the stand-in for S3. Each command is a
process of its own. Prints a line for each: requests, of these reads of manifests and of checkpoints,
and seconds, in which the stand-in's own slowness is the greater part. docs/object-stores.md has the
figures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from chatlake.lake.lake import Lake
from chatlake.simulator import Scenario, running
from tests.moto_server import S3Server, s3_server
from tests.support import KEY, NOW, in_bucket, write_config

NIGHTS: Final = 3
A_NIGHT: Final = 25
READING: Final = (
    ("status",),
    ("sql", "SELECT count(*) FROM completions"),
    ("show", "ID"),
    ("search", "the"),
    ("ask", "keys"),
    ("runs",),
    ("failures",),
    ("report", "--output", "report.html"),
    ("export", "raw", "--output", "out.jsonl"),
    ("export", "finetune", "--output", "tune.jsonl"),
    ("export", "hf", "--output", "hf"),
    ("export", "images", "--output", "pictures"),
    ("export", "parquet", "--output", "copy"),
    ("verify",),
)


class Bucket:
    """A lake in a bucket, and commands on it that are counted."""

    def __init__(self, s3: S3Server, folder: Path, lake: str) -> None:
        self._s3 = s3
        self._folder = folder
        self._lake = lake
        os.environ.update(s3.environment, CHATLAKE_TEST_KEY=KEY)

    def run(self, *words: str) -> None:
        """Run a command and print what it asked for."""
        before = self._files()
        self._s3.requests.clear()
        began = time.monotonic()
        command = [sys.executable, "-m", "chatlake", *words]
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - began
        asked = list(self._s3.requests)
        manifests = sum("/manifests/" in path and method == "GET" for method, path in asked)
        after = self._files()
        files = f"{len(before)} -> {len(after)} files, {len(after - before)} new"
        print(
            f"| `{' '.join(words)}` | {len(asked)} | {manifests} | {seconds:.1f} s | {files} | "
            f"exit {done.returncode} |",
            flush=True,
        )
        if done.returncode:
            print(done.stderr, file=sys.stderr)

    def completion(self) -> str:
        """Return the id of a completion."""
        with Lake.open(self._lake).connect() as connection:
            return str(
                connection.sql("SELECT min(completion_id) FROM completions").fetchall()[0][0]
            )

    def _files(self) -> set[str]:
        lake = Lake.open(self._lake, create=True)
        return set(lake.state.files)


def main() -> None:
    """Back up three times, then read and tidy."""
    scenario = Scenario(
        completions=NIGHTS * A_NIGHT, days=1.2, seed=8, now=NOW, image_share=0.1, image_bytes=4000
    )
    print("| command | requests | manifests read | time | files | |\n|---|---:|---:|---:|---|---|")
    with (
        s3_server() as s3,
        running(scenario) as server,
        tempfile.TemporaryDirectory(prefix="chatlake-bench-") as name,
    ):
        s3.make_bucket("bucket")
        lake = "s3://bucket/lake"
        in_bucket(write_config(Path(name), server.base_url), lake)
        bucket = Bucket(s3, Path(name), lake)
        names = server.ids()
        for each in names:
            server.hide(each)
        for night in range(NIGHTS):
            for each in names[night::NIGHTS]:
                server.reveal(each)
            bucket.run("backup")
        bucket.run("backup")
        for words in READING:
            bucket.run(*(bucket.completion() if word == "ID" else word for word in words))
        bucket.run("compact")
        bucket.run("compact")
        bucket.run("vacuum", "--dry-run")
        bucket.run("vacuum", "--older-than", "0s", "--yes")


if __name__ == "__main__":
    main()
