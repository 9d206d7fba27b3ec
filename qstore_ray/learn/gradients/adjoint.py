"""Adjoint differentiation: exact gradients in one reverse sweep, by the backend itself.

The cost is about four forward evaluations for any number of parameters (Jones & Gacon 2020,
arXiv:2009.02823). Only a simulator that holds the state can do it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Adjoint:
    """∂⟨O⟩/∂θ = Im⟨λ|P|ψ⟩, from the backend's `vjp`."""

    name: str = "adjoint"
    exact: bool = True
