"""Images: `images.py` cuts folders into chunks, `pixels.py` reads one, `labels.py` finds labels."""
