"""What a running process tells a monitoring system: metrics and spans.

`families.py` lists the metrics, `metrics.py` records them where Ray runs, on Ray's own Prometheus
endpoint. `spans.py` records spans if the standard OTEL_* variables ask for them. Both do nothing,
and import nothing, in a process that has neither. Begin with `families.py`.
"""
