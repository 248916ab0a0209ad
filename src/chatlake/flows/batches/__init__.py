"""Completions in batches, each a Prefect task, run by threads, processes or a cluster."""
