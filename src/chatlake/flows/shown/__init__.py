"""What Prefect shows of a run: lines of its log, artifacts, progress."""
