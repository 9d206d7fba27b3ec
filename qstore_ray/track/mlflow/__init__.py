"""MLflow: `tracker.py` records runs, `registry.py` and `model.py` keep trained models.

`store.py` opens an MLflow store and translates its errors.
"""
