"""Sums of clients' vectors of which the server learns the sum and nothing else.

Bonawitz et al. 2017 ("Practical secure aggregation for privacy-preserving machine learning"), in
four messages from each client:

    0  keys      a public key, new for every sum
    1  shares    Shamir shares of its two secrets for each neighbour, encrypted for it; and the keys
                 of its masks with them, encrypted with the first of the secrets
    2  input     its vector under its masks: one of its own from the second secret, one for each
                 neighbour
    3  unmask    for each neighbour that sent its input a share of its second secret, for each that
                 left a share of its first; never both

The masks between clients cancel in the sum. Those of clients that left are opened from the shares;
fewer than t of them reveal nothing, and with too few clients the sum is given up.

A pair of clients agrees on keys once, for its mask and for its messages. In the paper a client
shares the secret of its agreements, which would open its messages too, so it needs a second pair of
keys for those. Here it shares a secret that opens only what the paper's server computes from it.

    fixed_point   vectors as numbers modulo 2⁶⁴, so that sums are exact
    shamir        secrets shared among clients. wrong_shares: which of them are wrong
    crypto        keys, masks and sealed messages, by the package cryptography
    graph         who is whose neighbour: all with all, or as few as are safe
    member        a client's side. collector: the server's side
    run           both, in one process

This protects against a server that follows the protocol and keeps what it sees, and clients that
help it, as many as `graph` says. It does not protect against a server that invents clients, since
keys are not signed. Begin with `member.py`.
"""
