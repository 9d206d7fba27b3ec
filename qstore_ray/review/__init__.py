"""Reviews of Python code that trains models: `qstore review`.

    result = review(Path.cwd(), ["main"])       what changed since the branch left main
    for flaw in result.flaws:
        print(flaw.path, flaw.line, flaw.rule, flaw.message, flaw.rewrite)

Begin with `review.py`, which calls everything else:

    changes         which lines are under review; git is asked by `git.py`
    source          a file as rules see it; `notebook` makes one of a Jupyter notebook
    rules/          rules for any Python program
    training/       rules for code that trains models
    duplicates      lines that stand elsewhere, too
    complexity      functions with many paths, counted by ruff
    line_history    functions that were fixed again and again
    catalogue       all rules as text; `flaw` is what they find, `sarif` how hosts read it
    language_model  remarks of a model that the user's `settings` name, only if asked for

Nothing that is read is run or imported, and nothing is written.
"""
