"""The commented configuration that `chatlake init` writes."""

from __future__ import annotations

import os
from pathlib import Path

from chatlake.errors import UsageError

FILE_NAME = "chatlake.yaml"

_TEMPLATE = """\
# Configuration of chatlake. What stands here as a value is also the default, unless it says
# "required". Check it with `chatlake doctor`; `chatlake init --schema` prints its JSON Schema.
#
# ${NAME} in a value is replaced by the environment variable NAME, ${NAME:-text} by `text` where
# NAME is not set; for a plain ${ write $${. Durations: 500ms, 60s, 15m, 24h, 7d, 1h30m.

version: 1                      # required: the format of this file

# Required: where the backup is kept. A folder, relative to this file, or an address:
# s3://bucket/lake, gs://bucket/lake, az://container/lake.
lake: @LAKE@

sources:                        # required: at least one
  - name: openai                # required: a-z 0-9 _ -; names the source's partition, so keep it
    base_url: https://api.openai.com/v1   # required
    # Required: where the key is kept, never the key itself. ${NAME} is an environment variable,
    # file:/run/secrets/KEY a file, secret:NAME a Prefect Secret block. It is read anew at each run
    # and stored nowhere.
    api_key: ${OPENAI_API_KEY}
    auth: bearer                # bearer | api-key (Azure OpenAI)
    allow_http: false           # true: the key may go over http:// to another machine, unencrypted

    # More headers and parameters of every request. Those that carry a secret must be references.
    headers: {}
    #  OpenAI-Project: proj_abc123
    #  X-Gateway-Token: ${GATEWAY_TOKEN}
    query: {}
    #  api-version: 2025-02-01-preview

    # Which completions: everything here empty means all of them.
    select:
      ids: []                   # just these completions
      ids_file: null            # or those in this file, one id a line, relative to this file
      model: null               # only of this model
      metadata: {}              # only with all of these pairs, such as {team: search}
      created_after: null       # only from this instant on: 2026-01-31 or 2026-01-31T08:00:00Z
      created_before: null      # only before this instant; UTC unless it has an offset

    lookback: 24h               # each run lists again what is this much older than the newest
    full_sweep_every: 7d        # lists everything again, to find changes; null: only with --full
    retention: 30d              # how long the source keeps completions; warnings and sweeps use it
    images: store               # store | reference (keeps links and hashes, not the bytes)

    pace:
      concurrency: 32           # requests under way at once, at most (1 to 1024)
      requests_per_minute: null # a limit of your own; null: as fast as the service permits
      timeout: 60s              # of one request
      max_body: 512MiB          # of one response, once decoded; beyond it, a named failure
      max_attempts: 8           # of one request, before it is a failure
      give_up_after: 15m        # how long one request is tried again, at most

    proxy: null                 # http://HOST:PORT | direct; null: as HTTPS_PROXY and NO_PROXY say
    tls:
      ca_file: null             # certificates (PEM); null: of SSL_CERT_FILE, or the usual ones

  # Azure OpenAI:
  # - name: azure
  #   base_url: https://RESOURCE.openai.azure.com/openai/v1
  #   api_key: ${AZURE_OPENAI_API_KEY}
  #   auth: api-key
  #
  # Azure OpenAI, older API with a version:
  # - name: azure-older
  #   base_url: https://RESOURCE.openai.azure.com/openai
  #   api_key: ${AZURE_OPENAI_API_KEY}
  #   auth: api-key
  #   query: {api-version: 2025-02-01-preview}

schedule:                       # when `chatlake serve` backs up
  cron: "0 2 * * *"             # minute hour day month weekday
  timezone: UTC                 # such as Europe/Berlin

# An address that gets a JSON POST when a backup ends incomplete or failed, such as ${SLACK_URL}.
notify: null                    # it is a secret too: better a reference

access: private                 # private: 0700/0600 | group: 0750/0640, for analysts of the group

runner:                         # on what the Prefect flows run
  kind: threads                 # threads | processes | dask | ray
  workers: 2                    # batches at once
  batch_size: 500               # completions in one batch
  address: null                 # of a Dask or Ray cluster; null: a local one
"""


def template(lake: str = "data/lake") -> str:
    """The commented configuration, with every key; it loads as it is."""
    return _TEMPLATE.replace("@LAKE@", lake)


def write_template(path: Path = Path(FILE_NAME)) -> Path:
    """Write the template to `path` and return the file written.

    A folder, or a path without a suffix, gets a `chatlake.yaml`; missing folders are made.
    Raises UsageError if the file exists already (it is never overwritten) or cannot be written.
    """
    path = Path(os.path.expanduser(path))  # noqa: PTH111  an unknown ~user stays as it is
    file = path
    try:
        file = path / FILE_NAME if path.is_dir() or not path.suffix else path
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UsageError(
            f"{file.parent}: {_reason(problem)}", hint="Choose another place."
        ) from None
    try:
        with file.open("x", encoding="utf-8") as output:
            output.write(template())
    except FileExistsError:
        hint = "Choose another path, or remove the file first."
        raise UsageError(f"{file} exists already and is not overwritten", hint=hint) from None
    except OSError as problem:
        raise UsageError(f"{file}: {_reason(problem)}", hint="Choose another place.") from None
    return file


def _reason(problem: OSError) -> str:
    return f"cannot be written: {problem.strerror or problem}"
