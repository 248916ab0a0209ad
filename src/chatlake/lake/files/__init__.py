"""Part files: their columns, how they are written, merged and written anew, and what they say."""
