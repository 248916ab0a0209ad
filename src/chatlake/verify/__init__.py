"""Verification: every file of a lake read again, and what is not as it was written."""
