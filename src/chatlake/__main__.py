"""`python -m chatlake` is the command `chatlake`."""

from chatlake.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
