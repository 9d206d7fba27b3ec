"""Addresses: which ones name a service, which ones stay on this machine, which share an origin."""

from __future__ import annotations

import ipaddress
from urllib.parse import urljoin, urlsplit

from qstore_ray.errors import ConfigError, ServiceError


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_url(base_url: str, *, secret: bool, plain: bool) -> str:
    """The address of a service without its last slash.

    Raises:
        ConfigError: no such address, credentials in it, or (unless `plain`) a secret that would
            travel unencrypted to another machine.
    """
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ConfigError("not an address", field="base_url", value=base_url) from exc
    if parts.username or parts.password:
        raise ConfigError(
            "an address must not contain credentials",
            field="base_url",
            fix="Give the token apart from the address (QSTORE_DATA_TOKEN).",
        )
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise ConfigError(
            "not the address of a service",
            field="base_url",
            value=base_url,
            fix="Write for example https://data.example.org or http://127.0.0.1:8321.",
        )
    if secret and parts.scheme == "http" and not (plain or is_loopback(host)):
        raise ConfigError(
            "the token would travel unencrypted",
            field="base_url",
            value=base_url,
            fix="Use https, or set plain_http inside a network that nobody can listen to.",
        )
    return base_url.rstrip("/")


def same_origin(base_url: str, url: str, location: str) -> str:
    """Where a redirect from `url` to `location` leads.

    Raises:
        ServiceError: to another scheme, host or port than those of `base_url`.
    """
    target = urljoin(url, location)
    here, there = urlsplit(base_url), urlsplit(target)
    if (here.scheme, here.netloc.lower()) != (there.scheme, there.netloc.lower()):
        raise ServiceError(
            "the server redirects to another origin, which is refused",
            value=f"{there.scheme}://{there.hostname}",
            fix=f"Set base_url to the service itself, now {base_url}.",
        )
    return target
