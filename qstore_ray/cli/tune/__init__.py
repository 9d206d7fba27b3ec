"""`qstore tune JOB.toml` (run), `qstore tune show NAME` (tune), and what is said at the end."""
