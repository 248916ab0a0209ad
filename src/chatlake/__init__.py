"""Back up stored chat completions into partitioned Parquet that DuckDB queries."""

__version__ = "0.2.0"

__all__ = ["__version__"]
