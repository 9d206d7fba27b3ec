"""Keys, masks and sealed messages, all by the package cryptography.

agreement   X25519, then HKDF with SHA-256, which names the sum and the purpose
masks       AES-256 in counter mode: 13 ms for a million numbers
messages    AES-256-GCM, bound to sender, receiver and sum
memory      AES-256-SIV: what a client lets a server keep; the same bytes seal to the same bytes
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qstore_ray.errors import CheckpointError, RunError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_NONCE: Final = 12


def new_secret() -> bytes:
    """32 bytes from the operating system's generator."""
    return secrets.token_bytes(32)


def public_key(secret: bytes) -> bytes:
    """The X25519 public key of a secret, 32 bytes."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def agreed_key(secret: bytes, other: bytes, purpose: bytes) -> bytes:
    """The key of two clients, 32 bytes: from one's secret and the other's public key.

    Raises:
        RunError: the public key is not one.
    """
    try:
        private, public = X25519PrivateKey.from_private_bytes(secret), other
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as exc:
        raise RunError(
            "a client sent something else than a public key", field="secure_sum",
            fix="Repeat the round; its sum is given up.",
        ) from exc  # fmt: skip
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"qstore_ray " + purpose).derive(shared)


def mask(key: bytes, length: int) -> AnyArray:
    """Numbers modulo 2⁶⁴ (length,), uniform to anybody without the key. A key has one mask."""
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(stream.update(bytes(8 * length)) + stream.finalize(), np.dtype("<u8"))


def sealed(key: bytes, message: bytes, about: bytes) -> bytes:
    """A message that only the holder of the key reads, and nobody changes."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, message, about)


def opened(key: bytes, message: bytes, about: bytes) -> bytes:
    """What was sealed about the same.

    Raises:
        RunError: it was changed, or sealed by another or for another.
    """
    try:
        return AESGCM(key).decrypt(message[:_NONCE], message[_NONCE:], about)
    except (InvalidTag, ValueError) as exc:
        raise RunError(
            "a message between clients was changed on its way", field="secure_sum",
            fix="Repeat the round; its sum is given up.",
        ) from exc  # fmt: skip


def derived_key(secret: bytes, purpose: str, length: int = 32) -> bytes:
    """A key for one purpose; it gives away neither the secret nor the keys of other purposes."""
    info = b"qstore_ray " + purpose.encode()
    return HKDF(hashes.SHA256(), length, salt=None, info=info).derive(secret)


def sealed_memory(secret: bytes, message: bytes, about: str) -> bytes:
    """A message that only the holder of the secret reads, and nobody changes, always the same."""
    return AESSIV(derived_key(secret, "memory", 64)).encrypt(message, [about.encode()])


def opened_memory(secret: bytes, message: bytes, about: str) -> bytes:
    """What was sealed about the same.

    Raises:
        CheckpointError: it was changed, or sealed with another secret or about something else.
    """
    try:
        return AESSIV(derived_key(secret, "memory", 64)).decrypt(message, [about.encode()])
    except (InvalidTag, ValueError) as exc:
        raise CheckpointError(
            "what this client remembers was sealed with another key, for another run, or changed",
            field="key_file",
            fix="Put the key back that the run began with, or start again with existing='replace'.",
        ) from exc
