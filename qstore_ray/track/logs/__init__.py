"""Log lines on stderr (`logging.py`), and what of a configuration may be written (`text.py`)."""
