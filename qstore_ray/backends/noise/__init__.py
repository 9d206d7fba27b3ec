"""Noise: channels after gates, wrong readout, and how the exact engine runs them.

    channels.py       what a channel is: Kraus operators, Pauli twirl
    config.py         NoiseConfig: which channels follow which gates, readout, trajectories
    placement.py      a circuit's sites and their probabilities
    readout.py        wrong readout as an affine map of each Z factor
    trajectories.py   random errors of each row, keyed; values and gradients on the engine

Begin at `config.py`. To add a channel, write a class with `kraus` in `channels.py` and name it in
`AnyChannel`; the laws in `tests/laws/test_noise.py` compare it with Aer's density matrix.
"""
