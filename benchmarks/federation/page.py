"""The page of the benchmark, from its raw numbers."""

from __future__ import annotations

import re
import statistics
import textwrap
from collections.abc import Iterable
from typing import Any

from federation.private import spread

_NUMBER = re.compile(r"[\d–]|none$|$")

_HEAD = """
Written by `benchmarks/federated.py`, which measures the cases that are named on its command line
and keeps the others; raw numbers: `benchmarks/results/federated.json`, with the commit of each
case. An interval is the half-width at 95 % over the seeds (Student's t).
"""


def page(payload: dict[str, Any]) -> str:
    """All sections whose cases were measured."""
    rows = payload["rows"]
    parts = ["# Federated and private training, measured\n", _wrapped(_HEAD), _in_short(rows)]
    for case, section in _SECTIONS.items():
        found = [row for row in rows if row["case"] == case]
        if found:
            parts.append(section(found))
    machine = payload["machine"]
    parts.append(
        f"## Machine\n\n{machine['processor']}, {machine['cpus']} CPUs, Python {machine['python']}."
    )
    return "\n".join(parts).rstrip() + "\n"


def _in_short(rows: list[dict[str, Any]]) -> str:
    """The questions that a reader comes with, each with its figure."""
    case = {name: [row for row in rows if row["case"] == name] for name in _SECTIONS}
    lines = []
    if flower := [row for row in case["flower"] if "flower_s" in row]:
        lines.append(["a round in this process beside Flower's simulation",
                      f"{_span(flower, 'over_process')} times as fast"])  # fmt: skip
    if opacus := [row for row in case["opacus"] if row["status"] == "ranked"]:
        lines.append(["a private step beside PennyLane with Opacus, or row by row",
                      f"{_span(opacus)} times as fast"])  # fmt: skip
    if case["private_step"]:
        lines.append(["a private step beside a plain one",
                      f"{_span(case['private_step'])} times as long"])  # fmt: skip
    for of in dict.fromkeys(row["parameters_of"] for row in case["secure"]):
        found = [row for row in case["secure"] if row["parameters_of"] == of]
        lines.append([f"a round with secure sums, parameters of {of}",
                      f"{_span(found)} times as long"])  # fmt: skip
    if case["round"]:
        lines.append(["a round of 64 clients beside a central epoch",
                      f"{_span(case['round'])} times as long"])  # fmt: skip
    return _table(("what", "measured"), lines) if lines else ""


def _span(rows: list[dict[str, Any]], name: str = "ratio") -> str:
    ends = [end(row[name] for row in rows) for end in (min, max)]
    return " to ".join(f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in ends)


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 116) + "\n"


def _section(title: str, text: str, table: str) -> str:
    return f"## {title}\n\n{_wrapped(text)}\n{table}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names, cells = list(head), [list(row) for row in rows]
    numeric = (all(_NUMBER.match(cell) for cell in column) for column in zip(*cells, strict=True))
    rule = "|" + "|".join("--:" if found else "---" for found in numeric) + "|"
    lines = ["| " + " | ".join(row) + " |" for row in (names, *cells)]
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def _percent(values: list[float]) -> str:
    found = spread(values)
    return f"{100 * found['mean']:.1f} ± {100 * found['half_width_95']:.1f}"


def _accuracy(rows: list[dict[str, Any]]) -> str:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["data"], row["clients"], row["alpha"]), []).append(row)
    lines = []
    for (name, clients, alpha), each in groups.items():
        ran = [row for row in each if "federated" in row]
        about = [name, str(clients), f"{alpha:g}"]
        central = _percent([row["central"] for row in each])
        if not ran:
            lines.append([*about, "–", central, "–", "–", "–", "–"])
            continue
        numbers = (_percent([row[key] for row in ran]) for key in ("federated", "local_mean"))
        federated, local = numbers
        less = "" if len(ran) == len(each) else f" ({len(ran)} seeds)"
        lines.append(
            [*about, federated + less, central, local,
             f"{statistics.mean(row['classes_a_client'] for row in ran):.1f}",
             f"{statistics.mean(row['bytes_a_round'] for row in ran) / 1e6:.2f}",
             f"{1e3 * statistics.mean(row['cpu_seconds_a_round'] for row in ran):.0f}"]
        )  # fmt: skip
    head = (
        "data", "clients", "alpha", "federated %", "central %", "client alone %",
        "classes a client", "MB a round", "CPU ms a round",
    )  # fmt: skip
    text = """FedAvg over 20 rounds of two local epochs (Adam, kept by each client), the models of
    the job files, a fifth of the rows held out. `central` is one client with all rows, `client
    alone` the mean over clients that train by themselves for as long. Digits has 1,437 rows of
    train, fashion 480 of a file of 600 images. `–`: in 5,000 draws some client always had no row.
    """
    return _section("Accuracy", text, _table(head, lines))


def _private(rows: list[dict[str, Any]]) -> str:
    lines = []
    for epsilon in (*sorted({row["epsilon"] for row in rows} - {None}), None):
        each = [row for row in rows if row["epsilon"] == epsilon]
        asked = "none" if epsilon is None else f"{epsilon:g}"
        both = [_percent([row[name] for row in each]) for name in ("quantum", "logistic")]
        lines.append([asked, *both])
    delta = rows[0]["delta"]
    text = f"""Digits, δ = {delta:g}, 30 epochs of Poisson batches of 256, clipping at 0.5, Adam at
    0.1; the circuit has two layers on eight qubits. Logistic regression takes the same features,
    batches, clipping, noise and steps."""
    table = _table(("ε", "circuit %", "logistic regression %"), lines)
    return _section("Accuracy of private training", text, table)


def _ratio(row: dict[str, Any]) -> str:
    low, high = row["ratios"]
    return f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})"


def _at_most(row: dict[str, Any]) -> str:
    return f"≤ {row['goal']:g} {'met' if row['ratio'] <= row['goal'] else '**missed**'}"


def _round(rows: list[dict[str, Any]]) -> str:
    lines = [
        [f"{row['alpha']:g}", f"{1e3 * row['epoch_s']:.1f}", f"{1e3 * row['round_s']:.1f}",
         _ratio(row)]
        for row in rows
    ]  # fmt: skip
    head = ("alpha", "central epoch, ms", "round, ms", "ratio")
    text = """Processor time of one round, one local epoch each, beside one epoch over the same rows
    of digits in batches of 32. Goal: at most 2. Clients of 22 rows take smaller steps, each with
    what a step costs however few rows it has."""
    return _section("A round of 64 clients", text, _table(head, lines))


def _secure(rows: list[dict[str, Any]]) -> str:
    lines = [
        [row["parameters_of"], f"{row['parameters']:,}", row["sum"], f"{row['neighbours']}",
         f"{1e3 * row['plain_s']:.0f}", f"{1e3 * row['secure_s']:.0f}",
         f"{_ratio(row)}: {_at_most(row)}",
         f"{1e3 * row['client_s']:.2f}", f"{1e3 * row['server_s']:.1f}"]
        for row in rows
    ]  # fmt: skip
    head = (
        "parameters of", "parameters", "neighbours", "each has", "plain, ms", "secure, ms",
        "ratio and goal", "client, ms", "server, ms",
    )  # fmt: skip
    text = f"""{rows[0]["clients"]} clients of 22 rows. Processor time of a round in one process,
    which does the work of all clients and of the server. The last two columns are what a sum costs
    one client, which has a machine of its own in a real federation, and the server. Goal: at most
    1.1, which holds if a client trains for ten times its column. With parameters in a classical
    layer, a client trains for about a millisecond (one batch, one local epoch), and new keys in
    every round, 31 µs for each neighbour, are more than that, however fast the rest is. With as
    many parameters in the circuit, and two local epochs as jobs/digits_federated.toml has, the
    circuit is what takes time."""
    return _section("Secure sums", text, _table(head, lines))


def _private_step(rows: list[dict[str, Any]]) -> str:
    lines = [
        [str(row["qubits"]), str(row["layers"]), str(row["batch"]), str(row["parameters"]),
         f"{1e3 * row['plain_s']:.2f}", f"{1e3 * row['private_s']:.2f}", f"{row['ratio']:.2f}",
         _at_most(row)]
        for row in rows
    ]  # fmt: skip
    head = ("qubits", "layers", "rows", "parameters", "plain, ms", "private, ms", "ratio", "goal")
    text = """Processor time, a Poisson batch beside a plain one of as many expected rows. Goal: at
    most 1.3."""
    return _section("A private step", text, _table(head, lines))


_PRIVATE_PEERS = {
    "opacus": "Opacus on PennyLane",
    "opacus_loop": "PennyLane in torch, one row after the other",
}


def _opacus(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        times = [str(row.get("reason")), "", ""]
        if row["status"] == "ranked":
            times = [f"{row['ours_ms']:.3f}", f"{row['peer_ms']:.1f}", f"{row['ratio']:,.0f}"]
        lines.append([_PRIVATE_PEERS.get(row["peer"], row["peer"]), str(row["n"]), *times])
    text = """The same circuit (family F2 of `benchmarks/peers`, three layers), 32 rows, clipping at
    1, on one core; the clipped mean gradients agree to 10⁻⁶. The circuit is PennyLane's in torch.
    Opacus has no rule for a circuit and differentiates it for each row by functorch. Goal: 20
    times."""
    head = ("peer", "qubits", "ours, ms", "theirs, ms", "times as fast")
    return _section("A private step by others", text, _table(head, lines))


def _flower(rows: list[dict[str, Any]]) -> str:
    lines = [
        [str(row["clients"]),
         *(f"{1e3 * row[f'{name}_s']:.0f}" for name in ("flower", "process", "ray")),
         f"{row['over_process']:.1f}", f"{row['over_ray']:.1f}"]
        if "flower_s" in row
        else [str(row["clients"]), row["not_measured"], "", "", "", ""]
        for row in rows
    ]  # fmt: skip
    head = ("clients", "Flower, ms", "in process, ms", "on Ray, ms", "times as fast", "on Ray")
    text = """The same client (`qstore_ray.federated.flower`) under Flower 1.42's simulation with
    FedAvg, and under our server, in this process and with two Ray actors; one local epoch of
    digits, alpha 0.5, by the clock, without the first round, which starts actors. Goal: 3 times."""
    return _section("A round beside Flower", text, _table(head, lines))


_SECTIONS = {
    "accuracy": _accuracy,
    "round": _round,
    "secure": _secure,
    "flower": _flower,
    "private": _private,
    "private_step": _private_step,
    "opacus": _opacus,
}
