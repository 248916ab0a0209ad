"""The same job on dlt's rest_api source: completions, the messages of each, Parquet files.

With `--tuned`, what a user finds after reading dlt's source: messages in parallel on 32 threads, a
connection for each of them, a selector that is compiled once instead of at every page (the parser
of JSONPath is most of the CPU otherwise), and no look-up of proxies at every request.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

THREADS = 32


def pipeline_settings(folder: Path, *, tuned: bool) -> None:
    """Set what dlt reads from the environment when it is imported."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["DLT_DATA_DIR"] = str(folder / "state")
    if tuned:
        os.environ["EXTRACT__WORKERS"] = str(THREADS)
        os.environ["EXTRACT__MAX_PARALLEL_ITEMS"] = str(THREADS)


def configuration(base_url: str, *, tuned: bool) -> Any:
    """Return the configuration of the source."""
    from dlt.common import jsonpath
    from dlt.sources.helpers import requests
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator
    from requests.adapters import HTTPAdapter

    client: dict[str, Any] = {
        "base_url": base_url,
        "auth": {"type": "bearer", "token": "bench"},
        "paginator": JSONResponseCursorPaginator(
            cursor_path="last_id", cursor_param="after", has_more_path="has_more"
        ),
    }
    endpoint: dict[str, Any] = {"params": {"limit": 100, "order": "asc"}, "data_selector": "data"}
    if tuned:
        session = requests.Client().session
        session.trust_env = False
        session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=THREADS))
        client["session"] = session
        endpoint["data_selector"] = jsonpath.compile_path("data")
    path = "chat/completions"
    messages = f"{path}/{{resources.completions.id}}/messages"
    return {
        "client": client,
        "resources": [
            {"name": "completions", "endpoint": {"path": path, **endpoint}},
            {
                "name": "messages",
                "endpoint": {"path": messages, **endpoint},
                "include_from_parent": ["id"],
                **({"parallelized": True} if tuned else {}),
            },
        ],
    }


def main() -> None:
    """Run the pipeline once into an empty folder."""
    parser = argparse.ArgumentParser(description="Stored completions to Parquet with dlt")
    parser.add_argument("base_url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tuned", action="store_true")
    given = parser.parse_args()
    pipeline_settings(given.folder, tuned=given.tuned)
    import dlt
    from dlt.sources.rest_api import rest_api_source

    pipeline = dlt.pipeline(
        pipeline_name="bench",
        pipelines_dir=str(given.folder / "pipelines"),
        destination=dlt.destinations.filesystem(str(given.folder / "out")),
        dataset_name="lake",
    )
    source = rest_api_source(configuration(given.base_url, tuned=given.tuned))
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
    print(json.dumps({"folder": "out/lake"}))


if __name__ == "__main__":
    main()
