"""The address of a cluster: host and port, or what Ray looks up; a dashboard's is refused."""

from __future__ import annotations

import pytest

from qstore_ray.cluster.address import host_and_port
from qstore_ray.doctor.cluster import examine_cluster
from qstore_ray.errors import ConfigError
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.ray.session import ray_session


@pytest.mark.parametrize(
    ("address", "known"),
    [
        ("127.0.0.1:6379", ("127.0.0.1", 6379)),
        ("head.example.com:6379", ("head.example.com", 6379)),
        ("[::1]:6379", ("::1", 6379)),
        ("auto", None),
        ("head", None),
    ],
)
def test_host_and_port(address: str, known: tuple[str, int] | None):
    assert host_and_port(address, "cluster.address") == known


WRONG = {
    "http://127.0.0.1:8265": "the address of a dashboard",
    "https://head": "the address of a dashboard",
    "ray://127.0.0.1:10001": "not as a client of Ray",
    "grpc://127.0.0.1:1": "not the address of a cluster",
    "127.0.0.1:99999": "Port out of range",
}


@pytest.mark.parametrize(("address", "said"), WRONG.items())
def test_what_is_no_address_of_a_cluster_is_refused_at_once(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
):
    """In the configuration, in the variable that Ray's job commands read too, by the doctor."""
    with (
        pytest.raises(ConfigError, match=said) as caught,
        ray_session(ClusterConfig(address=address), 1),
    ):
        pass
    assert (caught.value.field, caught.value.value) == ("cluster.address", address)
    assert "127.0.0.1:6379" in caught.value.fix
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigError, match=said) as caught, ray_session(ClusterConfig(), 1):
        pass
    assert caught.value.field == "RAY_ADDRESS"
    found = next(iter(examine_cluster(None)))
    assert (found.state, found.advice) == ("fault", caught.value.fix)


def test_a_password_in_an_address_is_not_shown():
    with pytest.raises(ConfigError) as caught:
        host_and_port("http://u:hidden@head:8265", "cluster.address")
    assert "hidden" not in str(caught.value)
