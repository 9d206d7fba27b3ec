"""Predictions over HTTP: one trained model, asked by JSON, as `qstore serve` runs it.

    app.py       the routes, and the server
    rows.py      the rows of a request, in the formats of MLflow's scoring protocol
    settings.py  who may ask, and how much
    counts.py    what was asked and how long it took, for Prometheus

A process has one model and predicts in one thread; the C kernels use the cores.
"""
