"""From Q-Store 4.1, 4.1.1 and QeMLflow to jobs: `qstore migrate`.

    found = migrate_file(Path("old/train.py"))
    print(found.jobs[0].toml)
    for key in found.jobs[0].keys:
        print(key.old, key.state, key.new, key.text)

Begin with `migrate.py`. `reading` and `python_source` read old files without running them, as an
`old_table` for each object; one module for each of them writes its part of the job into a `draft`:

    training    TrainingConfig, QuantumModel; with schedules and callbacks
    datasets    DatasetConfig
    tuning      OptunaConfig, GridSearch, RandomSearch, BayesianOptimizer
    qemlflow    the configuration of QeMLflow
    names       old names of Python → new ones

Every key of the old configuration is listed (`key.py`), and what cannot be known is not guessed.
"""
