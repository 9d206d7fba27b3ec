r"""Checksums of a release, and their signature by an SSH key.

The public keys that may sign are in a file of the repository (`ssh-keygen`'s ALLOWED SIGNERS, one
line a key), so whoever has the repository can check a release without a network:

    ssh-keygen -Y verify -f security/allowed_signers -I NAME -n qstore-release \
        -s SHA256SUMS.sig < SHA256SUMS && sha256sum -c SHA256SUMS
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.release.build import sha256
from tools.release.errors import ReleaseError

SUMS, SIGNATURE, NAMESPACE = "SHA256SUMS", "SHA256SUMS.sig", "qstore-release"


@dataclass(frozen=True)
class Signer:
    """An SSH key (its private file, or its public one if an agent has the key) and who may sign."""

    key: Path
    signers: Path

    def refuse_unless_allowed(self) -> None:
        """Sign something and verify it. `ReleaseError` if nobody could verify this key."""
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / SUMS).write_text("", "utf-8")
            self._sign(Path(scratch))
            verify(Path(scratch), self.signers, added=_public(self.key))

    def sign(self, folder: Path) -> None:
        """Write the checksums of all files of a folder, and their signature."""
        files = sorted(path for path in folder.iterdir() if path.name not in {SUMS, SIGNATURE})
        lines = (f"{sha256(path)}  {path.name}\n" for path in files)
        (folder / SUMS).write_text("".join(lines), "utf-8")
        self._sign(folder)
        verify(folder, self.signers)

    def _sign(self, folder: Path) -> None:
        (folder / SIGNATURE).unlink(missing_ok=True)
        _keygen("sign", "-f", str(self.key), "-n", NAMESPACE, str(folder / SUMS))


def verify(folder: Path, signers: Path, added: str = "KEY") -> str:
    """Who signed the checksums of a folder. `ReleaseError` if a file is not as signed."""
    if not (folder / SIGNATURE).is_file():
        raise ReleaseError(f"{folder} is not signed, so it was not finished: release it again")
    name = _keygen(
        "find-principals", "-f", str(signers), "-s", str(folder / SIGNATURE),
        hint=f"the key is not in {signers}, or has expired there: "
        f"commit a line such as\n  release {added}",
    ).splitlines()[0]  # fmt: skip
    text = (folder / SUMS).read_text("utf-8")
    words = ["-f", str(signers), "-I", name, "-n", NAMESPACE, "-s", str(folder / SIGNATURE)]
    _keygen("verify", *words, text=text)
    for file, digest in signed_files(folder).items():
        if not (folder / file).is_file() or sha256(folder / file) != digest:
            raise ReleaseError(f"{folder / file} is not the file that was signed: build it again")
    return name


def signed_files(folder: Path) -> dict[str, str]:
    """The file names of a folder's checksums → their SHA-256."""
    lines = (folder / SUMS).read_text("utf-8").splitlines()
    return {file: digest for digest, _, file in (line.partition("  ") for line in lines)}


def _keygen(action: str, *words: str, text: str = "", hint: str = "") -> str:
    # gate: QS103 because ssh-keygen may ask for a passphrase
    done = subprocess.run(
        ["ssh-keygen", "-Y", action, *words],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        if "passphrase" in said:
            hint = f"{said}\nAdd the key to your agent: ssh-add KEY, and type KEY=KEY.pub"
        elif action == "sign":
            hint = (
                f"{said}\nssh-keygen cannot sign with KEY: it must be a private key that others "
                "cannot read (chmod 600), or the public half of one in your agent (ssh-add -l)"
            )
        raise ReleaseError(hint or f"ssh-keygen -Y {action}: {said}")
    return done.stdout


def _public(key: Path) -> str:
    """The public half of a key as a line of the file of signers."""
    path = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    return path.read_text("utf-8").strip() if path.is_file() else "ssh-ed25519 AAAA…"
