"""Redaction: personal data and secrets that never reach the lake."""
