"""The command line: arguments in, report out."""

from chatlake.cli.entry import main

__all__ = ["main"]
