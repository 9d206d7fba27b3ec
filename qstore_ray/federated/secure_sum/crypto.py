"""Keys, masks and sealed messages, all by the package cryptography.

agreement   X25519 once for each pair, then HKDF with SHA-256, which names the sum and the pair
masks       AES-256 in counter mode, as GCM encrypts zeros: 9 µs for 10,000 numbers
messages    AES-256-GCM, bound to sender, receiver and sum
memory      AES-256-SIV: what a client lets a server keep; the same bytes seal to the same bytes
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qstore_ray.errors import CheckpointError, RunError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

KEY_BYTES: Final = 32
_NONCE: Final = 12
_TAG: Final = 16
_PRIME: Final = 2**255 - 19
_SMALL_ORDER: Final = frozenset(
    {
        0, 1, _PRIME - 1, _PRIME, _PRIME + 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)  # fmt: skip


def new_secret() -> bytes:
    """32 bytes from the operating system's generator."""
    return secrets.token_bytes(KEY_BYTES)


def exchange_key() -> X25519PrivateKey:
    """A new secret key for agreements with other clients."""
    return X25519PrivateKey.generate()


def public_key(secret: X25519PrivateKey) -> bytes:
    """The public key of a secret one, 32 bytes."""
    return secret.public_key().public_bytes_raw()


def is_public_key(value: object) -> bool:
    """Whether a client that agrees with this key gets a secret; not so for points of small order.

    The seven such points of Curve25519 are those whose product with 8 is the neutral element.
    """
    if not isinstance(value, bytes) or len(value) != KEY_BYTES:
        return False
    return int.from_bytes(value, "little") % 2**255 not in _SMALL_ORDER


class PairKeys(NamedTuple):
    """What two clients share in one sum and nobody else has: 32 bytes for each purpose."""

    masking: bytes
    sealing: bytes


def pair_keys(secret: X25519PrivateKey, other: bytes, about: bytes) -> PairKeys:
    """The keys of two clients, from one's secret and the other's public key.

    Args:
        about: names the sum and the pair, the same on both sides.

    Raises:
        RunError: the public key is not one.
    """
    try:
        shared = secret.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError as exc:
        raise RunError(
            "a client sent something else than a public key", field="secure_sum",
            fix="Repeat the round; its sum is given up.",
        ) from exc  # fmt: skip
    info = b"qstore_ray pair " + about
    both = HKDF(hashes.SHA256(), 2 * KEY_BYTES, salt=None, info=info).derive(shared)
    return PairKeys(both[:KEY_BYTES], both[KEY_BYTES:])


class Masks:
    """Masks of one length, all written into the same memory.

    Args:
        length: P.
    """

    def __init__(self, length: int) -> None:
        self._zeros, self._stream = bytes(8 * length), bytearray(8 * length + _TAG)
        self._mask = np.frombuffer(self._stream, np.dtype("<u8"), length)

    def of(self, key: bytes) -> AnyArray:
        """Numbers modulo 2⁶⁴ (P,), uniform to anybody without the key; valid until the next ones.

        A key has one mask, so it needs no nonce of its own.
        """
        AESGCM(key).encrypt_into(bytes(_NONCE), self._zeros, None, self._stream)
        return self._mask


def sealed(key: bytes, message: bytes, about: bytes) -> bytes:
    """A message that only the holder of the key reads, and nobody changes."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, message, about)


def opened_or_none(key: bytes, message: bytes, about: bytes) -> bytes | None:
    """What was sealed about the same; None if it was changed, or sealed by or for another."""
    try:
        return AESGCM(key).decrypt(message[:_NONCE], message[_NONCE:], about)
    except (InvalidTag, ValueError):
        return None


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
