"""`chatlake serve`: its Prefect server, its deployments, and the runner that starts due runs."""
