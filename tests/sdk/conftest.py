"""These tests run in an environment of their own, `.sdk`, which has the vendors' SDKs: `make soak` makes it."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if all(map(find_spec, ("openai", "anthropic", "ollama"))) else ["test_*.py"]
"""Without the SDKs there is nothing to collect: `make test` stays light."""
