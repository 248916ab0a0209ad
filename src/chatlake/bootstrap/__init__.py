"""Puts the parts together: from settings to a running backup. The only package that knows all."""
