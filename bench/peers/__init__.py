"""What chatlake is compared with: programs of their own, each prints one line of JSON at its end."""
