"""What a finished run shows: `report.html` (`report.py`) and the model card (`model_card.py`), and
several runs beside each other (`side_by_side.py`).

`facts.py` gathers what the first two are written from.
"""
