"""From the lake to files that others read: one module a format."""
