"""Observables: weighted sums of Pauli strings, in the usual notation.

    Observable.parse("Z0")                  ⟨Z_0⟩
    Observable.parse("0.5*X0 Y2 - Z1")      ½⟨X_0 Y_2⟩ − ⟨Z_1⟩
    Observable.parse("I")                   1

A Pauli string is kept as two bit masks: bit q of `x` is set for X or Y on qubit q, bit q of `z` for
Z or Y. Then P|j⟩ = i^|x∧z| · (−1)^|j∧z| · |j ⊕ x⟩, which is all that a simulator needs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from itertools import combinations, permutations
from typing import NamedTuple

from qstore_ray.errors import CircuitError

_TERM = re.compile(r"([+-])?\s*(?:([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*\*?\s*)?((?:[IXYZ][0-9]*\s*)+)")
_NEIGHBOURS = "_neighbours"
_WORD = re.compile(f"[xyz]|[xyz]{{2}}({_NEIGHBOURS})?")


class PauliTerm(NamedTuple):
    """`coefficient` · P, with P given by the bit masks `x` and `z`."""

    x: int
    z: int
    coefficient: float = 1.0

    @property
    def label(self) -> str:
        """The string as text, for example `X0 Z3`; the identity is `I`."""
        qubits = range(max(self.x, self.z).bit_length())
        letters = {(1, 0): "X", (1, 1): "Y", (0, 1): "Z"}
        parts = [
            f"{letters[bits]}{q}"
            for q in qubits
            if (bits := (self.x >> q & 1, self.z >> q & 1)) != (0, 0)
        ]
        return " ".join(parts) or "I"


class Observable(NamedTuple):
    """A real weighted sum of Pauli strings.

    Examples:
        observable = Observable.parse("0.5*X0 - Z1")
        assert [term.label for term in observable.terms] == ["X0", "Z1"]
    """

    terms: tuple[PauliTerm, ...]

    @classmethod
    def parse(cls, text: str) -> Observable:
        """Parse an observable such as `Z0`, `Z0 Z1` or `0.5*X0 - Y1`.

        Raises:
            CircuitError: text that is not a sum of Pauli strings.
        """
        terms: list[PauliTerm] = []
        end = 0
        for match in _TERM.finditer(text.strip()):
            if match.start() != end or (terms and not match[1]):
                break
            terms.append(_term(match[1], match[2], match[3], text))
            end = match.end()
        if not terms or end != len(text.strip()):
            raise CircuitError(
                "not a sum of Pauli strings",
                field="observable",
                value=text,
                fix='Write for example "Z0", "Z0 Z1" or "0.5*X0 Y2 - Z1".',
            )
        return cls(tuple(terms))

    @property
    def n_qubits(self) -> int:
        """The smallest number of qubits on which this observable makes sense."""
        return max(max(term.x, term.z).bit_length() for term in self.terms)

    @property
    def label(self) -> str:
        """The observable as text that `parse` reads."""
        parts = [
            f"{'-' if t.coefficient < 0 else '+'} "
            + (f"{abs(t.coefficient)!r}*" if abs(t.coefficient) != 1 else "")
            + t.label
            for t in self.terms
        ]
        return " ".join(parts).removeprefix("+ ")


def z_observables(qubits: int | Sequence[int]) -> tuple[Observable, ...]:
    """⟨Z_i⟩ for every one of n qubits, or of those named: n observables.

    Examples:
        assert z_observables(2) == (Observable.parse("Z0"), Observable.parse("Z1"))
        assert z_observables([5]) == (Observable.parse("Z5"),)
    """
    return tuple(Observable((PauliTerm(0, 1 << q),)) for q in _numbers(qubits))


def named_observables(
    name: str, qubits: int | Sequence[int], joined: Collection[tuple[int, int]] = ()
) -> tuple[Observable, ...]:
    """The observables that a name stands for, of n qubits or of those named, in their order.

    A name is made of words joined by `+`, in which the qubits are left out: `z` is every ⟨Z_i⟩ (n
    of them), `zz` every ⟨Z_i Z_j⟩ with i < j (n(n−1)/2), `xy` every ⟨X_i Y_j⟩ with i ≠ j (n(n−1));
    and likewise for all of x, y and z. `zz_neighbours` is ⟨Z_i Z_j⟩ of the pairs that some gate
    joins, and likewise for the other words of two letters.

    Args:
        joined: those pairs.

    Raises:
        CircuitError: an unknown word, or two words for the same observables.
    """
    found: dict[PauliTerm, None] = {}
    for word in name.split("+"):
        if not _WORD.fullmatch(word):
            raise _observable_error(f"{word!r} is not x, y, z, two of them, or zz_neighbours", name)
        for term in _terms_of(word, _numbers(qubits), joined):
            if term in found:
                raise _observable_error(f"{term.label} is in it twice", name)
            found[term] = None
    return tuple(Observable((term,)) for term in found)


def _terms_of(
    word: str, numbers: Sequence[int], joined: Collection[tuple[int, int]]
) -> list[PauliTerm]:
    if len(word) == 1:
        return [_product(word, (qubit,)) for qubit in numbers]
    letters = word.removesuffix(_NEIGHBOURS)
    pairs = combinations(numbers, 2) if letters[0] == letters[1] else permutations(numbers, 2)
    if letters != word:
        neighbours = {frozenset(pair) for pair in joined}
        return [_product(letters, pair) for pair in pairs if frozenset(pair) in neighbours]
    return [_product(letters, pair) for pair in pairs]


def _product(letters: str, qubits: Sequence[int]) -> PauliTerm:
    x = sum(1 << q for letter, q in zip(letters, qubits, strict=True) if letter in "xy")
    z = sum(1 << q for letter, q in zip(letters, qubits, strict=True) if letter in "yz")
    return PauliTerm(x, z)


def _observable_error(why: str, name: str) -> CircuitError:
    return CircuitError(
        f"not a name of observables: {why}",
        field="observables",
        value=name,
        fix='Write for example "z", "z+zz_neighbours" or "x+z+xx+zz", or a list of sums such as '
        '["Z0 Z1"].',
    )


def zeros_projector(qubits: Sequence[int]) -> Observable:
    """The probability that all of t qubits are 0: ∏ (1 + Z_q)/2, as a sum of 2^t Pauli strings."""
    masks = [0]
    for qubit in qubits:
        masks += [mask | 1 << qubit for mask in masks]
    return Observable(tuple(PauliTerm(0, mask, 1.0 / len(masks)) for mask in masks))


def zeros_mean(qubits: Sequence[int]) -> Observable:
    """The mean over t qubits of the probability that one is 0: ½ + Σ Z_q / 2t."""
    weight = 0.5 / len(qubits)
    terms = (PauliTerm(0, 1 << qubit, weight) for qubit in qubits)
    return Observable((PauliTerm(0, 0, 0.5), *terms))


def _numbers(qubits: int | Sequence[int]) -> Sequence[int]:
    return range(qubits) if isinstance(qubits, int) else qubits


def _term(sign: str | None, coefficient: str | None, paulis: str, text: str) -> PauliTerm:
    x = z = 0
    for letter, digits in re.findall(r"([IXYZ])([0-9]*)", paulis):
        if letter == "I":
            continue
        if not digits:
            raise CircuitError(
                f"{letter} needs a qubit number",
                field="observable",
                value=text,
                fix=f"Write {letter}0 for qubit 0.",
            )
        bit = 1 << int(digits)
        if (x | z) & bit:
            raise CircuitError(
                f"qubit {digits} appears twice in one string", field="observable", value=text
            )
        x |= bit if letter in "XY" else 0
        z |= bit if letter in "YZ" else 0
    try:
        factor = float(coefficient) if coefficient else 1.0
    except ValueError:
        factor = math.nan
    if not math.isfinite(factor):
        raise CircuitError("a coefficient must be a finite number", field="observable", value=text)
    return PauliTerm(x, z, -factor if sign == "-" else factor)
