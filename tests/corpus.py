"""Where the corpus of recorded exchanges is: in the folder that `MODELWIRE_CORPUS` names, or beside the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


def find_corpus() -> Path | None:
    """The corpus, or `None` where there is none."""
    named = os.environ.get("MODELWIRE_CORPUS")
    path = Path(named) if named else PROJECT.parent / "shared" / "corpus"
    return path if path.is_dir() else None


def corpus(*parts: str) -> Path:
    """A path inside the corpus; skips the test, or at import the test file, where it is not there."""
    root = find_corpus()
    if root is None:
        pytest.skip("no corpus of recorded exchanges here: set MODELWIRE_CORPUS to its folder", allow_module_level=True)
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the corpus has no {'/'.join(parts)}", allow_module_level=True)
    return path
