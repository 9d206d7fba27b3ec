"""What stands in the guides, block by block."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def blocks_of(guide: str, language: str) -> list[str]:
    """The blocks of one language, in their order."""
    text = (DOCS / guide).read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
