"""Where the bytes of a lake lie: a folder, memory or a bucket. Neither Parquet nor DuckDB here."""
