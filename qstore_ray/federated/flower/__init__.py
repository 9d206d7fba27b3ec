"""Our model under Flower's server; needs flwr, in an environment of its own.

client   a Flower client that trains and scores our model
"""
