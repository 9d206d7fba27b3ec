"""How good the advice is, measured on data that it has not seen, and how long it takes.

    regret     what the first (and the best of the first five) candidates that `recommend` names
               score less than the best of all candidates, with the data set's whole family left out
               of the table; beside a random candidate, the default and the best single one
    nested     the first candidate's regret if the recommender's settings are also chosen without
               the family, see `advice_nested.py`
    coverage   how often the 90 % interval of a score holds the measured one, likewise left out;
               of an unmeasured model, the candidate itself is left out too
    seconds    measured / predicted seconds of the trainings of the families left out
    speed      seconds of `recommend` on 10,000 rows, after the imports

Intervals are of the mean over families, by 10,000 bootstrap samples of families. The picture
`docs/advice.png` is drawn from the result, see `advice_figure.py`.

Run: python benchmarks/advice.py
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
from advice_figure import draw
from advice_nested import EVERY, SMOOTHING_ALONE, nested_regrets
from record import write

from qstore_ray.advise.evidence import Evidence
from qstore_ray.advise.meta_features import NAMES, skill, unskilled
from qstore_ray.advise.portfolio import greedy_portfolio, regrets
from qstore_ray.advise.predict import (
    left_out_configurations,
    table_configurations,
    unmeasured_interval,
)
from qstore_ray.advise.recommend import choose, recommend
from qstore_ray.advise.seconds_model import SecondsModel
from qstore_ray.advise.table import AdviceTable, load_table

SEED = 0
FIRST = 5
BOOTSTRAPS = 10_000


def left_out_rows(table: AdviceTable) -> list[dict[str, Any]]:
    """What is known of each family without it."""
    rows: list[dict[str, Any]] = []
    for family in np.unique(table.families):
        own = np.flatnonzero(table.families == family)
        known = Evidence.of(table.without(str(family)))
        rows += [_left_out(table, known, int(place)) for place in own]
        print(rows[-1], flush=True)
    return rows


def _left_out(table: AdviceTable, known: Evidence, place: int) -> dict[str, Any]:
    quantum = len(table.candidates)
    vector = table.meta[place]
    classes = vector[NAMES.index("classes")]
    predicted = known.model.predict(vector)[:quantum]
    basis, order = choose(vector, predicted, known)
    lost = regrets(table.scores)[place]
    by_skill = np.argsort(-predicted, kind="stable")
    weights = known.table
    single = greedy_portfolio(weights.scores, 1, weights.families)[0]
    measured = skill(table.scores[place], classes)
    held = (measured >= predicted + known.low) & (measured <= predicted + known.high)
    low, high = unmeasured_interval(known)
    unmeasured = left_out_configurations(predicted[None], table_configurations())[0]
    both = (measured >= unmeasured + low) & (measured <= unmeasured + high)
    error = unskilled(predicted, classes) - table.scores[place]
    rival = int(known.model.predict(vector)[quantum:].argmax())
    return {
        "data_set": table.data_sets[place],
        "family": str(table.families[place]),
        "basis": basis,
        **_first("random", lost, _random_order(quantum)),
        "default_1": lost[0],
        "single_1": lost[single],
        **_first("portfolio", lost, [known.portfolio]),
        **_first("ranked", lost, [by_skill]),
        **_first("recommend", lost, [order]),
        "held": float(held.mean()),
        "held_unmeasured": float(both.mean()),
        "unmeasured_error": float(
            np.abs(unskilled(unmeasured, classes) - table.scores[place]).mean()
        ),
        "score_error": float(np.abs(error).mean()),
        "width": float((known.high - known.low) * (classes - 1) / classes),
        "rival_regret": float(table.rival_scores[place].max() - table.rival_scores[place, rival]),
    }


def _random_order(count: int) -> list[Any]:
    rng = np.random.default_rng(SEED)
    return [rng.permutation(count) for _ in range(2000)]


def _first(name: str, lost: np.ndarray, orders: list[Any]) -> dict[str, float]:
    """Mean over the orders of the regret of the first one, and of the best of the first five."""
    return {
        f"{name}_{count}": float(np.mean([lost[list(order[:count])].min() for order in orders]))
        for count in (1, FIRST)
    }


def interval(rows: list[dict[str, Any]], name: str) -> dict[str, float]:
    """The mean over families of the mean over their data sets, with its 95 % interval."""
    families = sorted({row["family"] for row in rows})
    means = np.array(
        [np.mean([row[name] for row in rows if row["family"] == family]) for family in families]
    )
    rng = np.random.default_rng(SEED)
    drawn = means[rng.integers(0, len(means), (BOOTSTRAPS, len(means)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"mean": float(means.mean()), "low": float(low), "high": float(high)}


def differences(rows: list[dict[str, Any]], one: str, other: str) -> dict[str, float]:
    """The mean of `one` less `other`, likewise."""
    return interval([{**row, "difference": row[one] - row[other]} for row in rows], "difference")


def nested(table: AdviceTable, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The regret with settings that are chosen without the family, and the gain over the single."""
    found: dict[str, Any] = {}
    for name, pool in (("smoothing", SMOOTHING_ALONE), ("all", EVERY)):
        lost, chosen = nested_regrets(table, pool)
        by_name = dict(zip(table.data_sets, lost.tolist(), strict=True))
        full = [{**row, "nested_1": by_name[row["data_set"]]} for row in rows]
        found[name] = {
            "settings": len(pool),
            "regret": interval(full, "nested_1"),
            "gain_over_single": differences(full, "single_1", "nested_1"),
            "chosen": chosen,
        }
    return found


def seconds_ratios(table: AdviceTable) -> tuple[list[float], list[bool]]:
    """Measured / predicted seconds of each training by a law fitted without its family."""
    ratios: list[float] = []
    held: list[bool] = []
    for family in np.unique(table.families):
        law = SecondsModel.fit(table.without(str(family)).trainings)
        own = table.trainings["family"] == family
        values = {n: table.trainings[n][own] for n in ("steps", "engine_seconds", "seconds")}
        for steps, engine, seconds, name in zip(
            *values.values(), table.trainings["optimizer"][own], strict=True
        ):
            if seconds is None:
                continue
            ratio = float(seconds / law.predict(steps, engine, name))
            ratios.append(ratio)
            held.append(law.low <= ratio <= law.high)
    return ratios, held


def speed() -> float:
    """The median of five recommendations on 10,000 rows, after one that reads the table."""
    rng = np.random.default_rng(SEED)
    x, y = rng.normal(size=(10_000, 20)), np.arange(10_000) % 3
    x[:, 0] += y
    recommend((x, y))
    times = []
    for _ in range(5):
        before = time.process_time()
        recommend((x, y))
        times.append(time.process_time() - before)
    return statistics.median(times)


def main() -> None:
    """Measure all four."""
    table = load_table()
    rows = left_out_rows(table)
    ratios, held = seconds_ratios(table)
    spread = np.abs(np.log(ratios))
    names = [name for name in rows[0] if name.rpartition("_")[2] in ("1", str(FIRST))]
    write(
        "advice",
        SEED,
        rows,
        table=dict(table.about),
        trainings=len(table.trainings["seconds"]),
        data_sets=len(table.data_sets),
        families=len(set(table.families)),
        regret={name: interval(rows, name) for name in names},
        gain_over_single=differences(rows, "single_1", "recommend_1"),
        nested=nested(table, rows),
        gain_over_portfolio_5=differences(rows, "portfolio_5", "recommend_5"),
        bases={
            b: sum(row["basis"] == b for row in rows) for b in ("ranked", "portfolio", "outside")
        },
        coverage_of_90=interval(rows, "held"),
        score_error=interval(rows, "score_error"),
        coverage_of_90_unmeasured_model=interval(rows, "held_unmeasured"),
        score_error_unmeasured_model=interval(rows, "unmeasured_error"),
        rival_regret=interval(rows, "rival_regret"),
        seconds={
            "within_1.5": float(np.mean(spread <= np.log(1.5))),
            "coverage_of_90": float(np.mean(held)),
            "median_ratio": float(np.median(ratios)),
        },
        recommend_cpu_seconds=speed(),
    )
    draw()


if __name__ == "__main__":
    main()
