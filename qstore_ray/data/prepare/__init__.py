"""Preparation: a chain of steps fitted on train and kept with the model.

Begin with `prepare.py`. To add a step, write a class in `steps/` and name it in `STEPS`
(`step_config.py`); another package declares it in the entry-point group `qstore_ray.steps`.
`one_pass.py` fits the steps block by block, from `summaries.py`; there a step says how.
"""
