"""Federated training: the rows stay with their clients, and a server adds up what they learnt.

A round: the server chooses clients, each trains the model on its own rows for a while, and the
server makes the next model from theirs. The server is a loop of pure policies.

    config        how many rounds, who takes part, which strategy
    strategies/   how the server makes a model from those of the clients
    secure_sum/   sums of which the server learns the sum and nothing else
    partitions    how one dataset is divided among clients, for experiments
    checks        what refuses or excludes a client, before a run and in a round
    client        the training of one client in one round
    server        one round: it is committed as a whole, or not at all
    flower/       the same client under Flower's server
    job           a federation as a job file
    trainer       all rounds, in this process, with checkpoints

Begin with `server.py`.
"""
