"""Splits: `split.py` has the rules, `cut.py` asks the one that a configuration names."""
