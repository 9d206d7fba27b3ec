"""Noise: channels after gates, wrong readout, and how the exact engine runs them.

    channels.py       what a channel is: Kraus operators, Pauli twirl
    config.py         NoiseConfig: which channels follow which gates, readout, trajectories
    entries.py        entries of a noise: a channel after gates of a kind, wrong readout
    conventions.py    numbers of other libraries' channels
    device/           the noise of a device, on circuits compiled for it
    placement.py      a circuit's sites and their probabilities
    placed.py         a circuit with its noise, as any backend runs it
    readout.py        wrong readout as an affine map of each Z factor
    trajectories.py   random errors of each row, keyed; values and gradients on the engine
    parts.py          many rows and trajectories, as many at a time as memory is meant for

Begin at `config.py`. To add a channel, write a class with `kraus` in `channels.py`, name it in
`AnyChannel`, and add it to `PAULI_CHANNELS` or `OTHERS` in `tests/laws/test_noise.py`, which
compares it with Aer's density matrix. Users write a channel of their own as `kraus`.
"""
