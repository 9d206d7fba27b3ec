"""Sums of clients' vectors of which the server learns the sum and nothing else.

Bonawitz et al. 2017 ("Practical secure aggregation for privacy-preserving machine learning"), in
four messages from each client:

    0  keys      two public keys, new for every sum
    1  shares    Shamir shares of its secrets for every other client, encrypted for that client
    2  input     its vector under two masks: one of its own, one for each other client
    3  unmask    for each client that sent its input a share of its own mask, for each that left a
                 share of its key; never both

The masks between clients cancel in the sum. Those of clients that left are computed again from the
shares; fewer than t of them reveal nothing, and with fewer than t clients the sum is given up.

    fixed_point   vectors as numbers modulo 2⁶⁴, so that sums are exact
    shamir        secrets shared among clients
    crypto        keys, masks and sealed messages, by the package cryptography
    member        a client's side. collector: the server's side
    run           both, in one process

This protects against a server that follows the protocol and keeps what it sees, and t − 1 clients
that help it. It does not protect against a server that invents clients, since keys are not signed.
Begin with `member.py`.
"""
