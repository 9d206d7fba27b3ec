"""Compliance documents of runs."""
