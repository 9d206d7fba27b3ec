"""A trained model: `trained.py` predicts and scores, `modelfile.py` is its `.qsm` file.

archive      zip archives that are verified before they are read
beginning    a training that starts from existing parameters
evaluation   the scores of a split
scoring_backends  where rows are scored, in the run and after it
"""
