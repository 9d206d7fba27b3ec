"""The cases of `benchmarks/federated.py`, by what they measure."""
