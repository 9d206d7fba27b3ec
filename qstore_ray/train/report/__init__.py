"""What a finished run shows: `report.html` (`report.py`) and the model card (`model_card.py`).

`facts.py` gathers what both are written from.
"""
