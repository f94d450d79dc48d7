"""Names of Claude models: what a dated snapshot is a snapshot of."""

from __future__ import annotations

import re
from functools import lru_cache

_SNAPSHOT = re.compile(r"[-@](?:\d{8}|latest)$")
_FOUR = re.compile(r"^(claude-(?:opus|sonnet)-4)-0$")


@lru_cache(maxsize=256)
def undated(model: str) -> str:
    """The model that a name stands for: without a router's prefix, and without the date of a snapshot.

    `claude-sonnet-4-0` is the alias of `claude-sonnet-4-20250514`, and Google's names have an `@` before the date:
    https://platform.claude.com/docs/en/about-claude/models/overview.
    """
    return _FOUR.sub(r"\1", _SNAPSHOT.sub("", model.rpartition("/")[2]))


def is_another(made_by: str | None, asked: str) -> bool:
    """Whether two names are those of different Claude models; a gateway's alias may stand for any."""
    if made_by is None:
        return False
    left, right = undated(made_by), undated(asked)
    return left != right and left.startswith("claude-") and right.startswith("claude-")
