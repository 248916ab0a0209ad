"""The report: what is in a lake and what is not, on one page that anybody can read."""
