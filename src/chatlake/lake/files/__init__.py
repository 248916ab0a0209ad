"""Part files: their columns, how they are written, merged and rewritten, and what they contain."""
