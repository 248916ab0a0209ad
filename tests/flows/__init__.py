"""Tests of the flows. They are a package, so that its fixtures end with the last of them."""
