"""The HTTP side: requests to the sources, their pace, retries and errors, and notifications."""
