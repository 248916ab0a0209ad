"""From the lake to files for other programs: one module per format."""
