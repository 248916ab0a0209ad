"""Where the bytes of a lake are: a folder, memory or a bucket.

This package knows neither Parquet nor DuckDB.
"""
