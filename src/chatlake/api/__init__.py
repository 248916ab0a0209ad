"""The HTTP side: requests, their pace, their retries, their errors. Only here is httpx imported."""
