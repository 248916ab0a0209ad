"""What chatlake is compared with: programs that print one line of JSON at their end."""
