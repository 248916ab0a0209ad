"""Verification: reads every file of a lake again and finds what changed since it was written."""
