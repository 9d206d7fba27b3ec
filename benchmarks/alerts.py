"""How often the rules of `qstore health` are wrong, and how late they are.

The streams are those of 20 real trainings (`alerts_record.py`, results/alerts_streams.parquet).

- recorded: the rules on these very streams. Every alert is listed.
- false: 1,000 run-hours are simulated, an hour a run: the trend of a recorded run (a running
  median) is stretched over the hour, and its residuals, in blocks of 25 drawn with replacement
  (Künsch 1989), are put on it. A step record comes every second
  or two, an epoch every ten seconds; gradient norms and memory are made in the same way, durations
  as sums of recorded ones. An alert is false, except one of `plateau` when the trend has not
  fallen by more than 2 σ over the epochs that the rule looks at: those are counted apart.
- found: faults in simulated runs: how many are found, and after how many samples or seconds.

Run: python benchmarks/alerts.py [--hours 1000] [--faults 100] [--processes 2]    (15 minutes)
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing import Pool
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from alerts_record import STREAMS
from record import write

from qstore_ray.ops.rules import Sample, all_rules
from qstore_ray.ops.rules.plateau import PlateauRule
from qstore_ray.ops.watch.monitor import RunMonitor

SEED = 20
CADENCES = (1.0, 2.0)
EPOCH_SECONDS, HOUR = 10.0, 3600.0
EPOCHS = int(HOUR / EPOCH_SECONDS)
BLOCK, WIDTH = 25, 15


class Stream(NamedTuple):
    """One recorded run: step losses and the gaps between them, and a column for each epoch."""

    loss: np.ndarray
    gap: np.ndarray
    train_loss: np.ndarray
    gradient_norm: np.ndarray
    took: np.ndarray
    rows: np.ndarray
    memory: np.ndarray


class Curve(NamedTuple):
    """A recorded curve as a trend and what is left of it."""

    trend: np.ndarray
    rest: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Curve:
        padded = np.pad(values, WIDTH // 2, mode="edge")
        trend = np.median(np.lib.stride_tricks.sliding_window_view(padded, WIDTH), axis=1)
        return cls(trend, values - trend)

    def stretched(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Trend over n samples, and the same with resampled residuals of the same region."""
        at = np.linspace(0, len(self.trend) - 1, n)
        trend = np.interp(at, np.arange(len(self.trend)), self.trend)
        # Residuals change as a run goes on, so they are drawn from the same tenth of it; not from
        # its first values, which the median of 15 does not follow in their fall.
        block, least = min(BLOCK, len(self.rest) // 2), min(WIDTH, len(self.rest) // 4)
        starts = at[::block].astype(int)
        reach = max(len(self.rest) // 10, block)
        first = starts + rng.integers(-reach, reach + 1, len(starts))
        first = np.clip(first, least, len(self.rest) - block)
        rest = self.rest[np.repeat(first, block)[:n] + np.arange(n) % block]
        return trend, trend + rest


@cache
def streams() -> dict[str, Stream]:
    table = pq.read_table(STREAMS).to_pydict()
    columns = {name: np.array(values) for name, values in table.items()}
    found = {}
    for run in sorted(set(table["run"])):
        steps = (columns["run"] == run) & np.array([v is not None for v in table["step"]])
        epochs = (columns["run"] == run) & ~steps
        own = {n: columns[n][epochs].astype(float) for n in ("train_loss", "seconds", "samples",
               "memory_mib", "gradient_norm")}  # fmt: skip
        norms = own["gradient_norm"]
        seconds = columns["seconds"][steps].astype(float)
        found[run] = Stream(
            columns["loss"][steps].astype(float), np.diff(seconds), own["train_loss"],
            norms if np.isfinite(norms).all() else np.full(len(norms), np.nan),
            np.diff(own["seconds"], prepend=0.0), own["samples"], own["memory_mib"],
        )  # fmt: skip
    return found


class Hour(NamedTuple):
    """A simulated run-hour: columns of step records and of epochs, and the noise-free loss."""

    loss: np.ndarray
    gap: np.ndarray
    train_loss: np.ndarray
    trend: np.ndarray
    gradient_norm: np.ndarray
    took: np.ndarray
    memory: np.ndarray


def slower(took: np.ndarray, n: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """n durations of this median, each the sum of as many recorded ones as it has time for.

    What delays an epoch, another program or a disk, has its own time scale: an epoch of ten seconds
    has the mean of its effect on hundreds of recorded ones, drawn in blocks.
    """
    many = max(1, int(np.ceil(seconds / float(np.median(took)) / BLOCK)))
    block = min(BLOCK, len(took))
    first = rng.integers(0, len(took) - block + 1, (n, many))
    means = np.concatenate([[0.0], np.cumsum(took)])
    drawn = ((means[first + block] - means[first]) / block).mean(axis=1)
    return seconds * drawn / np.median(drawn)


def simulated(stream: Stream, rng: np.random.Generator) -> Hour:
    """An hour like the recorded run, slower."""
    cadence = float(rng.choice(CADENCES))
    steps = int(HOUR / cadence)
    _, loss = Curve.of(stream.loss).stretched(steps, rng)
    trend, train_loss = Curve.of(stream.train_loss).stretched(EPOCHS, rng)
    _, gaps = Curve.of(np.log(np.maximum(stream.gap, 1e-6))).stretched(steps, rng)
    took = slower(stream.took[1:], EPOCHS, EPOCH_SECONDS, rng)
    norms = np.full(EPOCHS, np.nan)
    if np.isfinite(stream.gradient_norm).all():
        norms = np.exp(Curve.of(np.log(stream.gradient_norm)).stretched(EPOCHS, rng)[1])
    _, memory = Curve.of(stream.memory).stretched(int(HOUR / 15.0), rng)
    return Hour(
        loss, cadence * np.exp(gaps - np.median(gaps)), train_loss, trend, norms,
        took, memory,
    )  # fmt: skip


def samples(hour: Hour, allowed: float | None = None) -> Iterator[Sample]:
    """The records of an hour in their order, and the ticks between them."""
    limits = {} if allowed is None else {"allowed_seconds": allowed}
    yield Sample("start", 0.0, {"epochs": float(EPOCHS), **limits})
    now, per_epoch, used = 0.0, len(hour.loss) // EPOCHS, np.cumsum(hour.took)
    every = EPOCHS / len(hour.memory)
    for epoch in range(EPOCHS):
        for step in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            now += hour.gap[step]
            yield Sample("step", now, {"loss": hour.loss[step], "step": float(step)})
        values = {
            "epoch": float(epoch), "train_loss": hour.train_loss[epoch],
            "samples": 1000.0 * (epoch + 1), "seconds": used[epoch], "budget_seconds": used[epoch],
        }  # fmt: skip
        if np.isfinite(hour.gradient_norm[epoch]):
            values["gradient_norm"] = hour.gradient_norm[epoch]
        yield Sample("epoch", now, values)
        size = hour.memory[min(int(epoch / every), len(hour.memory) - 1)]
        yield Sample("tick", now, {"memory_mib": float(size)})


def opened(stream: Iterator[Sample]) -> Iterator[tuple[str, Sample, int]]:
    """The alerts that open: the rule, the sample, and its number among those of its kind."""
    monitor, count = RunMonitor(all_rules()), Counter[str]()
    for sample in stream:
        for rule, event in monitor.take(sample):
            if event.opens:
                yield rule.name, sample, count[sample.kind]
        count[sample.kind] += 1


def is_flat(hour: Hour, epoch: int) -> bool:
    """Whether the noise-free loss has not fallen by more than the rule can see.

    A least-squares slope over 30 epochs has a standard error of 0.61 σ of fall, of which the rule
    takes three.
    """
    window = slice(max(0, epoch + 1 - PlateauRule().window), epoch + 1)
    noise = float(np.std(hour.train_loss[window] - hour.trend[window]))
    fall = float(hour.trend[window][0] - hour.trend[window][-1])
    return fall <= max(2.0 * noise, 0.02 * float(np.ptp(hour.train_loss[: epoch + 1])))


def false_alarms(number: int) -> Counter[str]:
    """The alerts of one hour without a fault; `plateau, true` if the loss is flat indeed."""
    rng = np.random.default_rng([SEED, number])
    names = sorted(streams())
    hour = simulated(streams()[names[number % len(names)]], rng)
    found: Counter[str] = Counter()
    for rule, _, at in opened(samples(hour, allowed=1.1 * float(hour.took.sum()))):
        found["plateau, true" if rule == "plateau" and is_flat(hour, at) else rule] += 1
    return found


# ----------------------------------------------------------------------------------------- faults


class Fault(NamedTuple):
    """A fault: the rule that should find it, how it is put into an hour, and the unit of delay.

    `put` changes the hour from an epoch on, and returns where the fault begins.
    """

    name: str
    rule: str
    unit: str
    put: Callable[[Hour, int, np.random.Generator], float]


def _noise(values: np.ndarray) -> float:
    return 1.4826 * float(np.median(np.abs(np.diff(values)))) / np.sqrt(2.0)


def _jump(size: float, column: str) -> Callable[[Hour, int, np.random.Generator], float]:
    def put(hour: Hour, epoch: int, _rng: np.random.Generator) -> float:
        values = getattr(hour, column)
        first = epoch if column == "train_loss" else epoch * (len(values) // EPOCHS) + 3
        before = values[first - 50 : first] if first >= 50 else values[:first]
        values[first:] += size * max(10.0 * _noise(before), abs(float(np.median(before))) / 2.0)
        return float(first)

    return put


def _nan(hour: Hour, epoch: int, _rng: np.random.Generator) -> float:
    step = epoch * (len(hour.loss) // EPOCHS)
    hour.loss[step] = np.nan
    return float(step)


def _slow(hour: Hour, epoch: int, _rng: np.random.Generator) -> float:
    hour.took[epoch:] *= 3.0
    return float(epoch)


def _leak(hour: Hour, epoch: int, _rng: np.random.Generator) -> float:
    first = int(epoch / EPOCHS * len(hour.memory))
    hour.memory[first:] += 1024.0 * np.arange(len(hour.memory) - first) / (HOUR / 15.0)
    return float(epoch)


def _vanish(hour: Hour, epoch: int, rng: np.random.Generator) -> float:
    hour.train_loss[:] = hour.train_loss[0] + _noise(hour.train_loss) * rng.normal(size=EPOCHS)
    hour.gradient_norm[:] = 0.3 * np.exp(0.2 * rng.normal(size=EPOCHS))
    hour.gradient_norm[epoch:] *= 1e-5
    return float(epoch)


def _flat(hour: Hour, _epoch: int, rng: np.random.Generator) -> float:
    level = hour.train_loss[0]
    hour.train_loss[:] = level + max(_noise(hour.train_loss), 1e-6) * rng.normal(size=EPOCHS)
    return 0.0


def _nothing(_hour: Hour, _epoch: int, _rng: np.random.Generator) -> float:
    return 0.0


FAULTS = (
    Fault("jump of 10 σ or half the level", "jump", "samples", _jump(1.0, "loss")),
    Fault("jump of 20 σ or the level", "jump", "samples", _jump(2.0, "loss")),
    Fault("jump of 10 σ or half the level", "epoch_jump", "samples", _jump(1.0, "train_loss")),
    Fault("jump of 20 σ or the level", "epoch_jump", "samples", _jump(2.0, "train_loss")),
    Fault("NaN", "nan", "samples", _nan),
    Fault("throughput a third", "throughput", "epochs", _slow),
    Fault("leak of 1 GiB an hour", "memory", "minutes", _leak),
    Fault("gradient 1e-5 of itself, loss flat", "gradients", "epochs", _vanish),
    Fault("loss flat from the beginning", "plateau", "epochs", _flat),
    Fault("budget two thirds of the need", "budget", "epochs", _nothing),
    Fault("silence", "stalled", "seconds", _nothing),
)


def delay(fault: Fault, number: int) -> float:
    """Delay of the first right alert in one hour with a fault; NaN if there is none."""
    rng = np.random.default_rng([SEED + 1, number])
    names = sorted(streams())
    hour = simulated(streams()[names[number % len(names)]], rng)
    epoch = int(rng.integers(40, EPOCHS // 2))
    began = fault.put(hour, epoch, rng)
    if fault.rule == "stalled":
        return _silence(hour, epoch)
    allowed = (2.0 / 3.0 if fault.rule == "budget" else 1.1) * float(hour.took.sum())
    for rule, _, at in opened(samples(hour, allowed)):
        if rule == fault.rule and at >= began:
            return (at - began) * (EPOCH_SECONDS / 60.0 if fault.unit == "minutes" else 1.0)
    return float("nan")


def _silence(hour: Hour, epoch: int) -> float:
    """Seconds of silence after which a run that writes nothing more is stalled."""
    monitor, now = RunMonitor(all_rules()), 0.0
    for number, sample in enumerate(samples(hour)):
        if number > epoch * (len(hour.loss) // EPOCHS + 2):
            break
        now = sample.at
        list(monitor.take(sample))
    for second in range(1, 36_000):
        events = monitor.take(Sample("tick", now + second))
        if any(rule.name == "stalled" and event.opens for rule, event in events):
            return float(second)
    return float("nan")


def _fault_at(job: tuple[int, int]) -> float:
    return delay(FAULTS[job[0]], job[1])


def found_rows(faults: int, pool: Any) -> list[dict[str, Any]]:
    rows = []
    for index, fault in enumerate(FAULTS):
        delays = np.array(pool.map(_fault_at, [(index, n) for n in range(faults)], 5))
        seen = delays[np.isfinite(delays)]
        rows.append({
            "part": "found", "rule": fault.rule, "fault": fault.name, "unit": fault.unit,
            "tried": faults, "found": len(seen),
            "median": float(np.median(seen)) if len(seen) else None,
            "most": float(seen.max()) if len(seen) else None,
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def recorded_rows() -> list[dict[str, Any]]:
    """The rules on the recorded streams: their own steps and epochs, at their own pace."""
    rows = []
    for run, stream in streams().items():
        alerts: Counter[str] = Counter()
        for name, _, _ in opened(_as_recorded(stream)):
            alerts[name] += 1
        hours = float(stream.gap.sum()) / HOUR
        sizes = {"steps": len(stream.loss), "epochs": len(stream.train_loss), "hours": hours}
        rows.append({"part": "recorded", "run": run, **sizes, "alerts": dict(alerts)})
    return rows


def _as_recorded(stream: Stream) -> Iterator[Sample]:
    yield Sample("start", 0.0, {"epochs": float(len(stream.train_loss))})
    per_epoch = max(1, len(stream.loss) // len(stream.train_loss))
    now, seconds = 0.0, np.cumsum(stream.took)
    for epoch, loss in enumerate(stream.train_loss):
        for step in range(epoch * per_epoch, min((epoch + 1) * per_epoch, len(stream.gap))):
            now += stream.gap[step]
            yield Sample("step", now, {"loss": stream.loss[step]})
        values = {"epoch": float(epoch), "train_loss": loss, "samples": stream.rows[epoch],
                  "seconds": seconds[epoch]}  # fmt: skip
        if np.isfinite(stream.gradient_norm[epoch]):
            values["gradient_norm"] = stream.gradient_norm[epoch]
        yield Sample("epoch", now, values)
        yield Sample("tick", now, {"memory_mib": stream.memory[epoch]})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    rows = recorded_rows()
    total: Counter[str] = Counter()
    with Pool(given.processes) as pool:
        for number, found in enumerate(pool.imap_unordered(false_alarms, range(given.hours), 5)):
            total += found
            if number % 50 == 49:
                print(number + 1, "hours", dict(total), flush=True)
        names = [rule.name for rule in all_rules()]
        rows += [{"part": "false", "rule": n, "hours": given.hours, "alarms": total[n]}
                 for n in names]  # fmt: skip
        rows.append({"part": "false", "rule": "plateau, true", "hours": given.hours,
                     "alarms": total["plateau, true"]})  # fmt: skip
        rows += found_rows(given.faults, pool)
    write(
        "alerts", SEED, rows, hours=given.hours, false_alarms=sum(total[n] for n in names),
        jump_delay_most=max(row["most"] or 0.0 for row in rows
                            if row["part"] == "found" and "jump" in row["rule"]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
