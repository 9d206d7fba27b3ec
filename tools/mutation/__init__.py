"""`make mutation`: change one thing in the package at a time, and see whether a test notices.

mutmut makes the mutants: a copy of each file in which every function exists in all its mutated
versions, and a switch that calls one of them. `copy.py` keeps the mutated copy of the repository,
`mutants.py` names each mutant so that its name outlives changes elsewhere in the function,
`server.py` is the pytest plugin that tests them, each in a fork that `forks.py` limits, `lines.py`
keeps what is known when a run is killed, `verdicts.py` does the arithmetic and keeps the reasons,
`page.py` writes the tables. Begin with `__main__.py`.

mutmut's own runner is not used. It calls `pytest.main` for each mutant (measured: 0.27 s of CPU
before the first test, for 570 mutants of `learn/schedules`), stops a mutant after a time on the
clock, which a busy machine exceeds, and can neither test a sample nor limit the tests of a mutant.
Here pytest collects once; each mutant then is a fork of that process, with a limit in CPU seconds.
"""
