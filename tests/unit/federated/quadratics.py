"""Ten clients with a quadratic loss each, whose common optimum is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qstore_ray.federated.fleet import LocalFleet
from qstore_ray.federated.hosts.member import RoundMember
from qstore_ray.federated.strategies.base import ClientUpdate, RoundTask

P, CLIENTS = 5, 10


class QuadraticClient:
    """½ (θ − b)ᵀ A (θ − b), trained by K steps of SGD as a client of a federation is."""

    def __init__(self, name: str, a, b, steps: int = 10, rate: float = 0.05, rows: int = 1) -> None:
        self.name, self.a, self.b, self.steps, self.rate, self.rows = name, a, b, steps, rate, rows

    def train(
        self, task: RoundTask, memory: Mapping[str, Any]
    ) -> tuple[ClientUpdate, Mapping[str, Any]]:
        own = memory.get("control", np.zeros(P)) if task.rule.control else None
        theta = task.theta
        for _ in range(self.steps):
            gradient = self.a @ (theta - self.b)
            theta = theta - self.rate * task.corrected(theta, gradient, own)
        control, after = None, {}
        if task.rule.control:
            control = (task.theta - theta) / (self.steps * self.rate) - task.control
            after = {"control": own + control}
        loss = 0.5 * float((theta - self.b) @ self.a @ (theta - self.b))
        return ClientUpdate(self.name, task.round, theta, self.rows, loss, control), after


def quadratics(seed: int = 0, **options: Any) -> tuple[dict[str, QuadraticClient], np.ndarray]:
    """Ten clients that differ, and the minimum of the sum of their losses."""
    generator = np.random.default_rng(seed)
    clients, total, pulled = {}, np.zeros((P, P)), np.zeros(P)
    for number in range(CLIENTS):
        root = generator.normal(size=(P, P))
        a, b = root @ root.T / P + 0.5 * np.eye(P), 3.0 * generator.normal(size=P)
        clients[f"c{number}"] = QuadraticClient(f"c{number}", a, b, **options)
        total, pulled = total + a, pulled + a @ b
    return clients, np.linalg.solve(total, pulled)


def fleet(clients: Mapping[str, Any], **options: Any) -> LocalFleet:
    """Clients that train, as a server reaches them."""
    members = {name: RoundMember(name, client) for name, client in clients.items()}
    return LocalFleet(members, **options)
