"""The dataset service itself, a FastAPI application.

Begin with `app.py`, then `routes_datasets.py`.
"""
