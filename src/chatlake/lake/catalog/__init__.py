"""`catalog.duckdb`: the views over the files of one commit, and when they are built."""
