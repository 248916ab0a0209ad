"""What a browser shows of a lake: conversations to read."""
