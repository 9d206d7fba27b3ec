"""Operations: what is wrong with runs, what they have used, and a page that shows them.

rules        what a stream of metrics is judged by: pure functions with hysteresis
watch        follows the metrics of runs, and opens and closes alerts
notify       who is told of an alert: the log, a webhook
alerts.py    the log of alerts that is written and read
health       checks of everything a run needs, each within a deadline
dashboard    one page, on this machine alone, that shows what runs and what has run
"""
