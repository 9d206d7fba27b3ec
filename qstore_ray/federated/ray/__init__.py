"""Clients in Ray actors: `fleet` starts them where their rows are, asks them, restarts them."""
