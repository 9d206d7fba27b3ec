"""The client of a dataset service: retries, a circuit breaker, resumed downloads.

Begin with `client.py`.
"""
