"""Differential privacy of a training: DP-SGD (Abadi et al. 2016), as pure functions.

A step clips the gradient of every row to norm C, adds them, adds noise of standard deviation σ·C to
the sum, and divides by the expected number of rows. What all steps together reveal about one row
is (ε, δ); the accountant knows it after each step.

    config        what a training asks for
    accountant    ε of a number of steps, by Rényi differential privacy
    calibration   the σ, or the number of steps, that a wanted ε allows
    noise         a secret key, and the noise and the draws of rows that it decides
    sampling      batches that each row joins by a coin of its own
    audit         what guesses about rows prove about ε
    statement     what may be claimed of a run, and what is outside the claim

Rows are clipped in `learn/clipping.py`, inside a step of `learn/step.py`. Begin with
`accountant.py`. Numpy only; everything runs in any process.
"""
