"""Reporting alerts: `base.py` says what a notifier is; `log.py` and `webhook.py` are two.

A notifier takes an alert at once and never waits, so that nothing that it reports to can delay a
training or a watcher.
"""
