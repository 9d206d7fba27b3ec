"""`qstore`, the command line: it parses, calls the public functions, and prints.

    entry → app        signals first, then the list of commands and the exit codes
    commands/          one file a command
    cluster            `qstore cluster` and its sub-commands
    tune/              `qstore tune` and its sub-commands
    submit/            `qstore submit`: a job of a Ray cluster
    progress/          bars and lines on stderr
    shared/            how a command finds a model, a run, rows
    output             stdout, `--json`, errors

To add a command, write a file in `commands/` and name it in `app.py`.
"""
