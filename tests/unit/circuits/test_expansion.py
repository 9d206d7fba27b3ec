"""Which expressions are too large for Qiskit to multiply out."""

from __future__ import annotations

import pytest

from qstore_ray.circuits.qasm.expansion import MOST_TERMS, is_too_large


def _sum(n: int) -> str:
    return "(" + " + ".join(f"x{k}" for k in range(n)) + ")"


@pytest.mark.parametrize(
    ("left", "right", "too_large"),
    [(4, 5, False), (3, 7, True), (2, 10, False), (2, 11, True), (1, 30, False), (6, 6, True)],
)
def test_a_product_of_sums_has_as_many_terms_as_their_product(left, right, too_large):
    assert (left * right > MOST_TERMS and min(left, right) > 1) is too_large
    assert is_too_large("/", f"{_sum(left)}*{_sum(right)}", "") is too_large
    assert is_too_large("-", f"{_sum(left)}*{_sum(right)}", "(y + z)*w") is too_large


def test_what_qiskit_does_not_multiply_out_is_never_too_large():
    assert not is_too_large("*", f"{_sum(9)}*{_sum(9)}", "")
    assert not is_too_large("+", f"{_sum(9)}*{_sum(9)}", "y")
    assert is_too_large("/", "(" * 5000 + "x" + ")" * 5000, ""), "too deep to be counted"
