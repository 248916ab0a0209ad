"""The use case: find what is new, fetch it, write it, commit it. Knows no library of I/O."""
