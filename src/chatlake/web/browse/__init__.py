"""`chatlake browse`: conversations in the browser, on loopback, for the person who started it."""
