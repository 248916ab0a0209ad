"""The commented configuration that `chatlake init` writes."""

from __future__ import annotations

import os
from pathlib import Path

from chatlake.config.expected import bounds, choices
from chatlake.config.pace import PaceSettings
from chatlake.config.settings import Runner
from chatlake.config.source import Source
from chatlake.errors import UsageError

FILE_NAME = "chatlake.yaml"

_TEMPLATE = """\
# Configuration of chatlake. Each value below is the default, unless its comment says "required".
# `chatlake doctor` checks this file, and `chatlake init --schema` prints its JSON Schema.
#
# In a value, ${NAME} stands for the environment variable NAME, and ${NAME:-text} for `text` if
# NAME is not set. To write a plain ${, use $${. Durations: 500ms, 60s, 15m, 24h, 7d, 1h30m, 2y.

version: 1                      # required: the version of this file's format

# Required: where to keep the backup. A folder, relative to this file, or an address:
# s3://bucket/lake, gs://bucket/lake, az://container/lake.
lake: @LAKE@

sources:                        # required: at least one
  - name: openai                # required: a-z 0-9 _ -; names a partition, so do not change it
    base_url: https://api.openai.com/v1   # required
    # Required: where to find the key, never the key itself. ${NAME} is an environment variable,
    # file:/run/secrets/KEY a file, secret:NAME a Prefect Secret block. Each run reads the key
    # again, and never stores it.
    api_key: ${OPENAI_API_KEY}
    auth: bearer                # @AUTH@ (Azure OpenAI)
    allow_http: false           # true: send the key unencrypted to another machine over http://

    # Extra headers and parameters for every request. If one carries a secret, use a reference.
    headers: {}
    #  OpenAI-Project: proj_abc123
    #  X-Gateway-Token: ${GATEWAY_TOKEN}
    query: {}
    #  api-version: 2025-02-01-preview

    # Which completions to back up. If all of this is empty: every completion.
    select:
      ids: []                   # only these completions
      ids_file: null            # only those in this file: one id per line, path relative to here
      model: null               # only this model
      metadata: {}              # only completions with all these pairs, e.g. {team: search}
      created_after: null       # only from this time on: 2026-01-31 or 2026-01-31T08:00:00Z
      created_before: null      # only before this time; UTC unless it has an offset

    lookback: 24h               # how far before the newest completion each run starts to list
    full_sweep_every: 7d        # lists everything again to find changes; null: only with --full
    retention: 30d              # how long the source keeps completions; for warnings and sweeps
    silent_after: auto          # warn if nothing is new for long: 3d; auto: by the source's rhythm
    images: store               # store | reference (keep links and hashes, not the bytes)

    redact: null                # this source's own rules instead of the general redact below

    pace:
      concurrency: 32           # maximum requests at once (@AT_ONCE@)
      requests_per_minute: null # your own limit; null: as fast as the service allows
      timeout: 60s              # for one request
      max_body: 512MiB          # for one decoded response; a larger one is a named failure
      max_attempts: 8           # tries of one request before it counts as a failure
      give_up_after: 15m        # how long to retry one request

    proxy: null                 # http://HOST:PORT | direct; null: use HTTPS_PROXY and NO_PROXY
    tls:
      ca_file: null             # certificates (PEM); null: SSL_CERT_FILE, or the usual ones

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

# Whom to notify when a run ends: an address, or a list. Addresses are secrets: use references.
notify: null                    # or an address alone: it gets JSON if a run does not end well
# notify:
#   - url: ${SLACK_URL}
#     format: slack               # json | slack | teams | discord
#     on: [incomplete, failed, silent]    # also: complete
#   - ping: ${HEALTHCHECKS_URL}   # a monitor that alerts if no success comes
#   - ping: {start: null, success: "${UP_URL}", failure: "${DOWN_URL}"}   # one of another kind

# What never reaches the lake, `raw` included. What is already in the lake stays there:
# `chatlake redact --dry-run` shows what these rules would find in it.
redact:
  drop: []                      # become null: [input_user, metadata.email, messages.name]
  hash: []                      # become a hash, and equal values stay equal; needs hash_key
  hash_key: null                # ${NAME}, file:/PATH or secret:NAME, at least 16 characters
  patterns: []                  # in all texts: email, phone, card, iban, keys
  expressions: {}               # your own, in RE2's syntax: {employee: "EMP-[0-9]{6}"}
  images: keep                  # keep | drop (neither images nor their links)

# How long the lake keeps completions, by whole UTC days: 2y, 90d. What is older is erased for good
# by `maintain` and by `chatlake forget --expired`, and is not backed up again.
keep: null                      # null: forever

access: private                 # private: 0700/0600 | group: 0750/0640, so the group can read

runner:                         # where the Prefect flows run
  kind: threads                 # @KIND@
  workers: 2                    # batches at once
  batch_size: 500               # completions in one batch
  address: null                 # of a Dask or Ray cluster; null: a local cluster

# Token prices, for the view costs. The numbers below are invented: take yours from your contract,
# and note where and when you found them. For a changed price, add an entry with a later valid_from.
prices: []
# prices:
#   - model: invented-model-*     # the longest matching pattern applies
#     valid_from: 2026-01-01      # a UTC day
#     input: 1.11                 # dollars per million prompt tokens
#     cached_input: 0.11          # for those read from the cache; null: the same as input
#     output: 2.22                # dollars per million completion tokens
"""


def template(lake: str = "data/lake") -> str:
    """The commented configuration, with every key; it loads unchanged."""
    return (
        _TEMPLATE.replace("@LAKE@", lake)
        .replace("@AUTH@", " | ".join(choices(Source.model_fields["auth"])))
        .replace("@KIND@", " | ".join(choices(Runner.model_fields["kind"])))
        .replace("@AT_ONCE@", " to ".join(bounds(PaceSettings.model_fields["concurrency"])))
    )


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
