"""Differential privacy of a federation: of its clients, or of the rows of each client.

    clients   the part of each client in the model is clipped and hidden by noise
    rows      each client trains by DP-SGD on its own rows

The mathematics is in `learn/privacy`.
"""
