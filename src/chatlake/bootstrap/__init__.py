"""Builds a running backup from settings. The only package that knows all the others."""
