"""Audits of private training: attacks that must fail if a claim is true.

    canaries      rows whose gradients nothing else has, put into a training by coins
    mechanism     a training with canaries, and what its noisy gradients reveal of them
    membership    whether the losses of a model betray the rows it was trained on
    audit         both, for a run that has ended

An audit can refute a claim, not prove it. Begin with `audit.py`.
"""
