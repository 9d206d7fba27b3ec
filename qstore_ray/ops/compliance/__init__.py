"""The compliance document of a run: what is recorded, what was measured, and what is not known.

Begin with `write.py`; `evidence.py` gathers what the parts are made of.

    evidence, checks, search   what the run folder, the data and the runs beside it say
    described                  what its checkpoint says
    document                   facts, questions, tables and parts: the words of all parts
    card, sheet, audit, repeat four parts: model card, data sheet, audit log, reproducibility
    risks, risks_of_data        the register: rules with thresholds, each on a measured number
    rubric, rubric_of_runs     the points of a published maturity model, answered from the run
    page                       the document as HTML

A part invents nothing. A fact that no file has is "not recorded"; what only people know is a
question. To add a risk, write a function in `risks.py` and list it in `RULES`.
"""
