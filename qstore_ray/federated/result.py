"""What a federation returns, and the description of its model that checkpoints hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.errors import unknown_name_error
from qstore_ray.federated.fleet import Fleet
from qstore_ray.federated.hosts.host import TELL_MODEL
from qstore_ray.federated.hosts.sites import ClientSite
from qstore_ray.federated.rows import ClientFacts, ClientRows
from qstore_ray.federated.server import RoundRecord
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.privacy.statement import PrivacyStatement
from qstore_ray.train.model.modelfile import model_manifest, preparation_arrays
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.run.manifest import ModelDescription

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray


@dataclass(frozen=True)
class FederatedResult:
    """What `FederatedTrainer.fit` returns.

    Attributes:
        model: the server's model; it predicts, is scored, saved and served like any other.
        personal: the parameters (P,) of each client that has some of its own, by its id; empty for
            clients that keep them.
        history: one record a round of this attempt. shards: rows of each class, by client, of the
            clients whose rows were given.
        metrics: `test_loss` and `test_accuracy`, if test rows were given.
        run_dir: the run folder.
        privacy: what is claimed of clients; None without `federation.privacy`.
        epsilons: ε of the rows of each client, with `trainer.privacy`; None where none is claimed.

    Examples:
        dataset = DatasetLoader.from_arrays(np.random.rand(60, 2), np.arange(60) % 2)
        track, rounds = TrackConfig(mlflow=False, figures=False), FederationConfig(rounds=1)
        trainer = FederatedTrainer(ModelConfig(n_qubits=2), federation=rounds, track=track)
        result = trainer.fit(divide(dataset, PartitionConfig(clients=2)))
        assert result.model.predict([[0.1, 0.2]]).shape == (1,)
    """

    model: TrainedModel
    personal: Mapping[str, FloatArray] = field(repr=False)
    history: list[RoundRecord] = field(repr=False)
    shards: Mapping[str, IntArray] = field(repr=False)
    metrics: Mapping[str, float]
    run_dir: Path
    privacy: PrivacyStatement | None = None
    epsilons: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def theta(self) -> FloatArray:
        """The server's parameters (P,)."""
        return self.model.theta

    def model_of(self, client: str) -> TrainedModel:
        """The model of a client with parameters of its own.

        Raises:
            UnknownNameError: no such client, or it has none.
        """
        if client not in self.personal:
            raise unknown_name_error(
                "client with a model of its own", client, sorted(self.personal), field="client"
            )
        return replace(self.model, theta=self.personal[client])


class DescribedModel(NamedTuple):
    """How raw rows become predictions, as a checkpoint holds it.

    Attributes:
        about: what its manifest says under `model`. arrays: of the fitted preparation.
        warning: why the preparation is unknown; "" if it is known.
    """

    about: ModelDescription
    arrays: Mapping[str, AnyArray]
    warning: str = ""


def described(
    config: ModelConfig,
    clients: Mapping[str, ClientRows | ClientSite],
    facts: Mapping[str, ClientFacts],
    fleet: Fleet,
) -> DescribedModel:
    """The description of the server's model.

    If all clients prepare their rows alike, the model takes raw rows. Otherwise it takes them as
    they were prepared.
    """
    kinds = {each.preparation for each in facts.values()}
    first = min(clients)
    given = clients[first]
    if len(kinds) == 1 and kinds != {""}:
        if isinstance(given, ClientRows):
            assert given.source is not None, "it has reported its preparation"
            about = model_manifest(config, given.source)
            if any(
                isinstance(each, ClientSite) or each.source is not given.source
                for each in clients.values()
            ):
                about.pop("data")  # that of one of several owners
            return DescribedModel(about, preparation_arrays(given.source))
        about, arrays = fleet.ask(TELL_MODEL, {first: (config,)})[first]
        return DescribedModel(about, arrays)
    some = facts[first]
    bare: ModelDescription = {
        "config": config.to_dict(),
        "n_features": some.n_features,
        "classes": list(some.classes),
        "task": some.task,
        "n_targets": some.n_targets,
        "preparation": {"n_features": some.n_features, "steps": []},
    }
    warning = ""
    if kinds != {""}:
        warning = (
            "clients prepare their rows differently, so the model predicts from prepared rows; "
            "with preprocessing that is the same for all it would predict from raw ones"
        )
    return DescribedModel(bare, {}, warning)
