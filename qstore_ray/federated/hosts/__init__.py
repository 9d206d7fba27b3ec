"""A client where its rows are: in this process, or in an actor on their node.

    sites    where the rows of a client are, and the key that seals what it remembers
    member   a client's side of a round: trains, clips, masks, seals
    host     loads the rows, reports what it may of them, and answers all messages

Begin with `member.py`.
"""
