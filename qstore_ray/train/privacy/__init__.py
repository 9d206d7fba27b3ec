"""The private part of a training: what the loop adds to clipped gradients, and what it may claim.

    steps    how much noise, from which key, and when the run must end
    key      the secret of the noise, beside the checkpoints
    claim    `privacy.json`: ε, δ, and what is outside the claim

The mathematics is in `learn/privacy`. Begin with `steps.py`.
"""
