"""Images: `images.py` reads the files, `labels.py` finds their labels."""
