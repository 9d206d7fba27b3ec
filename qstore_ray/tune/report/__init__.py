"""What a search leaves to look at: `html.py` writes `report.html`.

`importance.py` says how much each parameter matters; `pictures.py` has the study's pictures.
"""
