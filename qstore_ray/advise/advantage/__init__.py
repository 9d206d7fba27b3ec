"""Is a quantum model better than classical ones, and is it because it is quantum?

    check.py          the protocol: paired folds, equal budgets of tuning, the verdict
    contenders.py     the job's model, its kernel, their twins without entanglement
    paired.py         the corrected test of paired folds
    kernels.py        concentration, and the geometric difference to classical kernels
    simulability.py   what makes the trained model easy to simulate
    pauli_paths.py    its observables as sums of few Pauli strings

Begin reading at `check.py`.
"""
