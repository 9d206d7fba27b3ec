"""Augmentation: a random change of a row, drawn from a key (seed, epoch, row, step) alone.

Begin with `base.py`. To add a step, derive from `Augmentation` in classical, images or quantum and
name the class in `AUGMENTATIONS` (`config.py`); another package declares it in the entry-point
group `qstore_ray.augmentations`. `expansion.py` is what a dataset's configuration asks for.
"""
