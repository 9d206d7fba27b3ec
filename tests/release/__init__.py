"""Releases of a small package: built, signed, published and rolled back with the real programs."""
