"""What the metrics of a run say (`metrics.py`), and several runs side by side (`compare.py`)."""
