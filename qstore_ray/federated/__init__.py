"""Federated training: the rows stay with their clients, and a server adds up what they learnt.

A round: the server chooses clients, each trains the model on its own rows for a while, and the
server makes the next model from theirs. The server is a loop of pure policies.

    config        how many rounds, who takes part, which strategy
    strategies/   how the server makes a model from those of the clients
    secure_sum/   sums of which the server learns the sum and nothing else
    privacy/      differential privacy of clients, and of their rows
    partitions    how one dataset is divided among clients, for experiments
    rows          rows of a client, and what it reports of them
    hosts/        a client where its rows are: loads, trains, masks, seals
    client        the training of one client in one round
    fleet         all clients as the server reaches them; ray/ has them in actors
    checks        what refuses or excludes a client, before a run and in a round
    opening       from the clients that are given to a fleet that is ready
    server        one round: it is committed as a whole, or not at all
    journal       who took part in each round
    rounds        all rounds of an attempt, with checkpoints
    ending        scores, claims, figures, report, trackers; longer: more rounds
    result        what a federation returns
    flower/       the same client under Flower's server
    job           a federation as a job file
    trainer       all of it in order

Begin with `server.py`.
"""
