"""Every error that chatlake raises, grouped by what the person who sees it has to do.

    ChatlakeError                      exit 1   failed for another reason
    ├── UsageError                     exit 2   correct the command line
    │   └── SqlError                            correct the query or condition
    ├── ConfigurationError             exit 4   correct the configuration
    ├── AccountError                   exit 5   the account cannot do this; nothing is retried
    │   ├── AuthenticationError                 401: the key is wrong
    │   ├── PermissionDeniedError               403: the key lacks a permission
    │   ├── MethodNotSupportedError             405: the account has no such route
    │   ├── NoStoreError                        501: the server stores no completions
    │   ├── RetiredError                        410: the service has ended stored completions
    │   └── QuotaExhaustedError                 429 that no retry helps: quota, credit, limit
    ├── SourceUnreachableError         exit 6   look at the network or the service, run again
    ├── UnusableListError              exit 1   the service's list of completions breaks its rules
    ├── CompletionError                exit 3   one completion could not be fetched
    │   ├── CompletionNotFoundError             404 (400 on some servers)
    │   ├── RequestRejectedError                any other 4xx
    │   ├── InvalidResponseError                a response that is not what the API documents
    │   │   ├── UnsettledError                  one that may still change: asked for again
    │   │   └── TooLargeError                   one that is larger than pace.max_body
    │   └── RetriesExhaustedError               429, 5xx, time-outs until attempts ran out
    ├── IncompleteExportError          exit 3   an export with --strict skipped something
    ├── GapsError                      exit 3   the source has completions that the lake lacks
    ├── StaleError                     exit 3   the last complete backup is older than --max-age
    ├── LakeError                      exit 1   look at the lake
    │   ├── LakeNotFoundError                   no lake there yet: run a backup first
    │   ├── NotInLakeError                      the lake does not have this completion
    │   ├── LakeMissingError                    there was one: mount it, or create a new one
    │   ├── LakeUnreachableError                its bucket does not answer, or does not let us in
    │   ├── LakeForbiddenError                  this user may not read it
    │   ├── LakeUnwritableError                 read-only, full, or permission missing
    │   ├── OpenFilesError                      too many open files: raise the limit
    │   ├── CommitConflictError                 another run committed first
    │   ├── LakeDamagedError       exit 7   run `chatlake verify`
    │   ├── LakeFormatError        exit 7   written by a newer chatlake: upgrade
    │   └── LakeLockedError        exit 8   another run is writing: wait for it
    └── RunInterruptedError            exit 130 interrupted (SIGINT); run again to continue
        └── RunTerminatedError         exit 143 terminated (SIGTERM)

This module imports nothing of chatlake. `docs/errors.md` is generated from it.
"""

from __future__ import annotations

from typing import ClassVar


class ChatlakeError(Exception):
    """The root: `message` says what happened, `hint` what to do.

    `exit_code` is the process's exit code, `kind` the word for programs (`--json`). `request_id` is
    the source's id for the request that failed; empty if it sent none, or if there was no request.
    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "failed"
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None, request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.request_id = request_id


class UsageError(ChatlakeError):
    """The command line is wrong."""

    exit_code = 2
    kind = "usage"
    default_hint = "See `chatlake --help`."


class SqlError(UsageError):
    """A query or a condition that DuckDB refuses.

    `quotation`: its line and DuckDB's caret below the place, for a person at a terminal; may be
    empty.
    """

    def __init__(self, message: str, *, quotation: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.quotation = quotation


class ConfigurationError(ChatlakeError):
    """The configuration is missing or invalid; the message names file, key path and value."""

    exit_code = 4
    kind = "configuration"
    default_hint = "Correct the configuration; `chatlake doctor` checks it."


class AccountError(ChatlakeError):
    """The account cannot do this (401, 403, 405, quota); nothing is retried."""

    exit_code = 5
    kind = "account"


class AuthenticationError(AccountError):
    """401: the key is missing, wrong or revoked."""

    kind = "unauthorized"
    default_hint = "Check the key that api_key refers to, then base_url and auth."


class PermissionDeniedError(AccountError):
    """403: the key is valid but lacks a permission."""

    kind = "forbidden"
    default_hint = "Give the key read permission for stored chat completions."


class MethodNotSupportedError(AccountError):
    """405: this account or server does not have the route."""

    kind = "not_supported"
    default_hint = (
        "The account cannot list stored completions. Pass ids with --ids-file or select.ids, "
        "or ask the service to enable the list."
    )


class NoStoreError(AccountError):
    """501: the server has the route but stores no completions."""

    kind = "no_store"
    default_hint = (
        "The server stores no completions. Configure a store on it (OGX: a SQL store for "
        "inference), then run again."
    )


class RetiredError(AccountError):
    """410: the service has ended stored completions for good."""

    kind = "retired"
    default_hint = (
        "The service has retired stored completions, so nothing more can be backed up from it. "
        "What is in the lake stays. Remove the source from the configuration."
    )


class QuotaExhaustedError(AccountError):
    """429 for quota, credit or a spending limit: waiting does not help."""

    kind = "quota"
    default_hint = "Raise the quota or credit of the account, then run again."


class SourceUnreachableError(ChatlakeError):
    """The source cannot be reached: name resolution, connection, or the service as a whole."""

    exit_code = 6
    kind = "unreachable"
    default_hint = "Check base_url, network and proxy, then run again to continue."


class UnusableListError(ChatlakeError):
    """The service refuses to list completions, or its response is not a list."""

    kind = "list"
    default_hint = "Check base_url (without /chat/completions) and select; then run again."


class CompletionError(ChatlakeError):
    """One completion could not be fetched: it becomes a named failure; the others are kept.

    `reason` is the word that the ledger keeps. `status`: the HTTP status, None if no response
    came or its body is at fault. `of_route`: the response speaks of the route as a whole, and does
    not name the completion.
    """

    exit_code = 3
    kind = "completion"
    reason: ClassVar[str] = "failed"
    default_hint = "The next run tries again."

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        request_id: str = "",
        status: int | None = None,
        of_route: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, request_id=request_id)
        self.status = status
        self.of_route = of_route


class CompletionNotFoundError(CompletionError):
    """The service does not know this completion (404; 400 on some servers)."""

    kind = "not_found"
    reason = "not_found"


class RequestRejectedError(CompletionError):
    """The service refused the request with another 4xx."""

    kind = "rejected"
    reason = "rejected"


class InvalidResponseError(CompletionError):
    """The response is not JSON, is truncated, or breaks the API's own rules (paging, ids)."""

    kind = "invalid_response"
    reason = "invalid_response"


class UnsettledError(InvalidResponseError):
    """The response lacks messages that were there before or must be there; it may still change."""


class TooLargeError(InvalidResponseError):
    """A response, or the messages of one completion, exceed `pace.max_body`."""

    kind = "too_large"
    reason = "too_large"
    default_hint = "Raise pace.max_body if you have enough memory. The next run tries again."


class RetriesExhaustedError(CompletionError):
    """Rate limits, server errors or time-outs lasted until attempts or time ran out."""

    kind = "retries_exhausted"
    reason = "retries_exhausted"
    default_hint = (
        "Run again later; the run continues where it stopped. Raise pace.give_up_after if the "
        "service asks for longer waits."
    )


class IncompleteExportError(ChatlakeError):
    """An export with `--strict` was written, but it skipped something."""

    exit_code = 3
    kind = "skipped"
    default_hint = "The report beside the output counts what was skipped, by reason."


class GapsError(ChatlakeError):
    """The source has completions that the lake lacks, or has in another version."""

    exit_code = 3
    kind = "gaps"
    default_hint = "`chatlake backup --full` fetches what is missing and what changed."


class StaleError(ChatlakeError):
    """The last complete backup of a source is older than `--max-age`, or there is none."""

    exit_code = 3
    kind = "stale"
    default_hint = (
        "`chatlake runs` shows how the last runs ended; `chatlake doctor` checks the rest."
    )


class LakeError(ChatlakeError):
    """Something is wrong with the lake."""

    kind = "lake"


class LakeNotFoundError(LakeError):
    """There is no lake at the configured place."""

    kind = "no_lake"
    default_hint = "Run `chatlake backup` first, or check `lake` in the configuration."


class NotInLakeError(LakeError):
    """The lake has no such completion, or no such message of it."""

    kind = "not_in_lake"
    default_hint = "`chatlake search` finds conversations by their words."


class LakeMissingError(LakeError):
    """The lake that was at the configured place is missing; chatlake does not create a new one."""

    kind = "lake_missing"
    default_hint = (
        "Mount the disk or put the lake back. If it is gone for good, create a new one with "
        "`chatlake backup --new-lake`."
    )


class LakeUnreachableError(LakeError):
    """The lake's bucket does not respond or exist, or credentials or permissions are missing."""

    kind = "lake_unreachable"
    default_hint = "Run `chatlake doctor` to check network, credentials and permissions."


class LakeForbiddenError(LakeError):
    """This user may not read the lake or a part of it, so its state is unknown."""

    kind = "lake_forbidden"
    default_hint = (
        "Run the command as the user who backs up, or set `access: group` in the configuration."
    )


class LakeUnwritableError(LakeError):
    """The lake cannot be written: it is read-only or full, or a permission is missing."""

    kind = "unwritable"
    default_hint = "Free space or allow writing, then run again. What was committed stays."


class OpenFilesError(LakeError):
    """Too many files are open, in this process or on this machine; the lake is not damaged."""

    kind = "open_files"
    default_hint = "Raise the limit (`ulimit -n 4096`) or close other programs, then run again."


class CommitConflictError(LakeError):
    """A manifest with this number already exists: another run committed first."""

    kind = "conflict"
    default_hint = "Run again."


class LakeDamagedError(LakeError):
    """A manifest or data file is missing, truncated or altered."""

    exit_code = 7
    kind = "damaged"
    default_hint = "Run `chatlake verify` to name every damaged file."


class LakeFormatError(LakeError):
    """The lake was written by a newer chatlake."""

    exit_code = 7
    kind = "format"
    default_hint = "Upgrade chatlake."


class LakeLockedError(LakeError):
    """Another run is writing; the message names its host, process and start."""

    exit_code = 8
    kind = "locked"
    default_hint = "Wait for that run to end, then run again."


class RunInterruptedError(ChatlakeError):
    """SIGINT: what was committed stays."""

    exit_code = 130
    kind = "interrupted"
    default_hint = "What was committed stays. Run the same command again to continue."


class RunTerminatedError(RunInterruptedError):
    """SIGTERM: what was committed stays."""

    exit_code = 143
    kind = "terminated"
