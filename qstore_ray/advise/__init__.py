"""Advice from our own measured table: what to train, what it will cost, and whether it is worth it.

    recommend     which models to train on these data, and the classical one to beat first
    predict       seconds, memory, circuits and accuracy of a job, before it runs
    resources     what a cheaper or a better variant of a job would cost
    advantage     is the quantum model better than classical ones, by a paired and corrected test

Every answer states its own error, which was measured on data sets that were left out, and says
"not enough evidence" outside the range of the table. Begin reading at `candidates.py` (what was
trained), `table.py` (what was measured) and `recommend.py`.
"""
