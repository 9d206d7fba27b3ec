"""One file for each command; `app.py` lists them. `config.py` is a short one to begin with."""
