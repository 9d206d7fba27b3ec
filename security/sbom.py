"""`make sbom`: the bill of materials of the locked packages as CycloneDX JSON, in dist/sbom.json.

The lock knows the hashes, the environment knows the licences; this has both. A release has the bill
of what its users install: `--lock requirements-cpu.lock`, and an environment with nothing else.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "dist" / "sbom.json"
_PROGRAM = Path(sys.executable).with_name("cyclonedx-py")
_COMMON = ("--output-format", "JSON", "--output-reproducible")


def merged(lock: dict[str, Any], installed: dict[str, Any]) -> dict[str, Any]:
    """The components of the lock, with the licences of those that are installed in that version."""
    licences = {
        (_key(each["name"]), each.get("version")): each["licenses"]
        for each in installed.get("components", ())
        if each.get("licenses")
    }
    components = []
    for each in lock["components"]:
        found = licences.get((_key(each["name"]), each.get("version")))
        components.append({**each, "licenses": found} if found else each)
    return {**lock, "components": components}


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _bill(*words: str | Path) -> dict[str, Any]:
    done = subprocess.run(
        [_PROGRAM, *words, *_COMMON],
        capture_output=True, text=True, check=True, cwd=ROOT, timeout=300.0,
    )  # fmt: skip
    return json.loads(done.stdout)


def _version() -> str:
    """The version of this checkout; pyproject.toml only says where it is."""
    text = (ROOT / "qstore_ray" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found is not None
    return found[1]


def main(words: list[str] | None = None) -> int:
    """Write the file; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", default="requirements.lock")
    parser.add_argument("--python", default=str(ROOT / ".venv" / "bin" / "python"))
    parser.add_argument("--output", type=Path, default=TARGET)
    asked = parser.parse_args(words)
    lock = _bill("requirements", "--pyproject", "pyproject.toml", asked.lock)
    installed = _bill("environment", asked.python)
    bill = merged(lock, installed)
    bill["metadata"]["component"]["version"] = _version()
    asked.output.parent.mkdir(exist_ok=True)
    asked.output.write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")
    count, known = len(bill["components"]), sum("licenses" in each for each in bill["components"])
    print(f"{asked.output.name}: {count} components, {known} with a licence")
    return 0


if __name__ == "__main__":
    sys.exit(main())
