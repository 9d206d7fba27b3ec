"""`make first-change`: one real change, from a new file to a commit, for whoever begins here.

    steps      what to do, in order, and how each step is checked
    checks     the checks: each looks at the work tree, or runs a program in it
    __main__   prints what is done, and the next step

Nothing is changed by it: it looks, and says what to type. The change is a schedule of the learning
rate, f(t) = 1 / (1 + γt), which the package does not have. Afterwards the branch can be deleted.
"""
