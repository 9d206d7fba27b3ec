"""Signing in at IBM: who holds the credentials, and how they stay where they are.

Only the process of the gateway signs in. It takes the credentials from one of

    account = "name"       saved by `QiskitRuntimeService.save_account` on the gateway's node
    token_file = "path"    a file with the API key that only its owner can read (mode 0600)
    neither                QISKIT_IBM_TOKEN in the gateway's environment, or the default account

so options, arguments of processes, logs, checkpoints and trackers hold a name or a path, never the
key. An environment variable that is set before `ray start` is inherited by every worker: on a
cluster take an account or a file.
"""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING, Any

from pydantic import Field

from qstore_ray.backends.ibm.keys import redact_account
from qstore_ray.backends.ibm.service.trouble import translated
from qstore_ray.circuits.first_import import import_qiskit
from qstore_ray.config import Config
from qstore_ray.errors import ConfigError
from qstore_ray.files import expanded

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService

_INSTANCES = "quantum.cloud.ibm.com/instances"
_NO_INSTANCE = "No matching instances found"
"""What the client says of a new account, and names filters that nobody gave."""


class IbmAccount(Config):
    """How to sign in; it holds no credentials.

    Args:
        account: name of a saved account.
        token_file: file with the API key, readable by its owner alone.
        instance: name or CRN of the instance; without it the account's own.
        channel: of the service.
        url: of the service, if it is not IBM's.
    """

    account: str | None = Field(default=None, min_length=1)
    token_file: str | None = Field(default=None, min_length=1)
    instance: str | None = Field(default=None, min_length=1)
    channel: str | None = Field(default=None, min_length=1)
    url: str | None = Field(default=None, min_length=1)


def sign_in(account: IbmAccount) -> QiskitRuntimeService:
    """The service of an account; several HTTP requests.

    Raises:
        ConfigError: no such account, a file that others can read, a key that is refused.
        ServiceError: the service is out of reach.
        MissingDependencyError: the client library is not installed.
    """
    import_qiskit("qiskit_ibm_runtime")
    with translated("sign in"):  # the client may not be installed
        from qiskit_ibm_runtime import QiskitRuntimeService

        from qstore_ray.backends.ibm.service.session import use_tokens_alone

    given: dict[str, Any] = {
        "name": account.account,
        "instance": account.instance,
        "channel": account.channel,
        "url": account.url,
    }
    if account.token_file is not None:
        given["token"] = read_token(account.token_file)
    if "QISKIT_IBM_RUNTIME_LOG_LEVEL" not in os.environ:  # its warnings name the instance
        logging.getLogger("qiskit_ibm_runtime").setLevel(logging.ERROR)
    os.environ.setdefault("USAGE_DATA_OPT_OUT", "True")  # else each request inspects the stack
    with translated("sign in"):
        use_tokens_alone()
        try:
            return QiskitRuntimeService(**{k: v for k, v in given.items() if v is not None})
        except ValueError as exc:  # the client checks how its arguments fit each other
            if isinstance(exc, OSError | UnicodeError):
                raise
            raise _sign_in_error(account, exc) from None


def _sign_in_error(account: IbmAccount, exc: ValueError) -> ConfigError:
    """The error about the option that the client's message names."""
    said, text = str(exc), redact_account(str(exc))
    names = ("channel", "url", "instance")
    field = next((name for name in names if f"'{name}'" in said), "account")
    message = f"IBM's client cannot sign in with these options: {text}"
    fix = "Take an account that was saved with them, or leave the option out."
    if account.instance is not None and account.instance in said:  # not one of the account's
        field = "instance"
        fix = f"Name one that {_INSTANCES} lists for this key, or leave it out."
    elif _NO_INSTANCE in said:
        message = "the key is right, but its account has no instance that it may use"
        fix = f"Create one on {_INSTANCES}, or take a key of the account that has it."
    return ConfigError(
        message,
        field=f"backend_options.{field}",
        value=getattr(account, field),
        fix=fix,
    )


def read_token(path: str) -> str:
    """The API key in a file.

    Raises:
        ConfigError: there is no such file, others can read it, or it holds no key.
    """
    file = expanded(path)
    try:
        mode = file.stat().st_mode
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"the file with the API key cannot be read: {type(exc).__name__}",
            field="token_file",
            value=path,
            fix="Write the key into it on the gateway's node, and nothing else.",
        ) from exc
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"others can read the file with the API key (mode {stat.S_IMODE(mode):04o})",
            field="token_file",
            value=path,
            fix=f"Run chmod 600 {path}",
        )
    if not token or len(token.split()) != 1:
        raise ConfigError(
            "the file does not hold one API key",
            field="token_file",
            value=path,
            fix="Write the key into it, and nothing else.",
        )
    return token
