"""What the library logs, on standard error.

Only chatlake's own loggers are shown, even with `--debug`: those of HTTP libraries may print
headers, and so the key.
"""

from __future__ import annotations

import logging
import sys

from chatlake.cli.output import printable
from chatlake.cli.stderr_lines import STANDARD_ERROR, json_line
from chatlake.model.outside_text import strike_out

# Shown only with `--debug`, because the report and the lake's ledger have every failure.
_TOLD_IN_THE_REPORT = "chatlake.backup.failures"


class _ToStandardError(logging.Handler):
    """Looks up the stream for each line, because a progress bar replaces it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record without secrets and, except for a traceback, on one line."""
        if STANDARD_ERROR.as_json:
            plain = logging.Formatter()
            trace = plain.formatException(record.exc_info) if record.exc_info else ""
            return json_line(
                record.levelname.lower(),
                record.getMessage(),
                at=record.created,
                logger=record.name,
                traceback=trace,
            )
        text = strike_out(super().format(record))
        lines = text.splitlines() if record.exc_info else [text]
        return "\n".join(printable(line) for line in lines)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except OSError:
            self.handleError(record)


def set_up_logging(*, debug: bool, as_json: bool = False) -> None:
    """Show warnings; with `debug`, everything that chatlake logs.

    `as_json`: each line is one JSON object, and informational messages are shown too, because a
    program reads them.
    """
    usual = logging.INFO if as_json else logging.WARNING
    logger = logging.getLogger("chatlake")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    handler = _ToStandardError()
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s" if debug else "warning: %(message)s"
    handler.setFormatter(logging.Formatter(form))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if debug else usual)
    logging.getLogger(_TOLD_IN_THE_REPORT).setLevel(logging.DEBUG if debug else logging.ERROR)
