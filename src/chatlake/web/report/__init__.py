"""The report: what is in a lake and what is missing, on one page that anybody can read."""
