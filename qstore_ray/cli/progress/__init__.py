"""What a user sees while a run or a search is under way; all of it goes to stderr.

progress    a run: a bar on a terminal, a line an epoch elsewhere (views)
rounds      a federation: the same bar, moved by the clients' answers
display     which display a search gets: live (a picture on a terminal) or search (lines)
pace        how far, how fast, how long still
"""
