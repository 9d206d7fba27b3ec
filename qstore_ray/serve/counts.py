"""Counts of a prediction server as Prometheus reads them."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from typing import Final

_BOUNDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class ServingCounts:
    """What was asked, how it was answered, and how long it took. Used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[int] = Counter()
        self._seconds = [0] * (len(_BOUNDS) + 1)
        self._total = 0.0
        self._rows = 0

    def answered(self, status: int, seconds: float, rows: int) -> None:
        """Count a request for predictions."""
        with self._lock:
            self._answers[status] += 1
            self._rows += rows
            self._total += seconds
            self._seconds[bisect_left(_BOUNDS, seconds)] += 1

    def text(self, waiting: int) -> str:
        """The counts in Prometheus' text format.

        Args:
            waiting: requests that are predicted or wait now.
        """
        with self._lock:
            lines = [
                "# HELP qstore_serve_requests_total Requests for predictions, by status.",
                "# TYPE qstore_serve_requests_total counter",
                *(
                    f'qstore_serve_requests_total{{status="{status}"}} {count}'
                    for status, count in sorted(self._answers.items())
                ),
                "# HELP qstore_serve_rows_total Rows that were predicted.",
                "# TYPE qstore_serve_rows_total counter",
                f"qstore_serve_rows_total {self._rows}",
                "# HELP qstore_serve_waiting Requests that are predicted or wait for it.",
                "# TYPE qstore_serve_waiting gauge",
                f"qstore_serve_waiting {waiting}",
                "# HELP qstore_serve_seconds Time from a request to its answer.",
                "# TYPE qstore_serve_seconds histogram",
            ]
            below = 0
            for bound, count in zip((*map(str, _BOUNDS), "+Inf"), self._seconds, strict=True):
                below += count
                lines.append(f'qstore_serve_seconds_bucket{{le="{bound}"}} {below}')
            lines.append(f"qstore_serve_seconds_sum {self._total}")
            lines.append(f"qstore_serve_seconds_count {below}")
        return "\n".join(lines) + "\n"
