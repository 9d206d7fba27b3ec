"""From a source of data to arrays that a model is trained on.

`DatasetLoader.load(DatasetConfig)` is the entry (`loader.py`); `build.py` shows the steps in order:
survey the source, number the labels, split, fit the preparation on train, fingerprint.

    sources/    adapters: what reads files, hubs, services; opened by name
    tables/     one reader for every table: header, label, missing values, categories
    rows/       raw rows and labels as checked arrays
    splits/     which rows are train, val, test
    prepare/    steps fitted on train: scaling, PCA, one-hot, …
    augment/    changed copies of train
    read/       `Dataset`, its read plans, here or on Ray; saved datasets
    batches/    which rows come together, as pure functions of seed, epoch and step
    inputs/     rows that a trained model is given: by name, from memory or files
    quality/    checks and profile
    files/      opening what is not trusted
    service/    a dataset service over HTTP and its client
"""
