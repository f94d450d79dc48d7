"""The pytest fixture `modelwire_cassette`: a test records what it asks of a provider once, and replays it from then on.

```python
async def test_capital(modelwire_cassette):
    client = OpenAIChatCompletionClient(model="gpt-4.1", api_key=os.environ.get("OPENAI_API_KEY", "none"),
                                        transport=modelwire_cassette)
    ...
```

The recording lies beside the test, in `cassettes/<test file>.<test>.jsonl`. pytest loads this module by itself where
modelwire is installed; it loads nothing of modelwire before the fixture is used.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from modelwire.protocols import Transport

MODES = {
    "none": "play only, and send nothing",
    "once": "play the recording where there is one, else record",
    "new_episodes": "play what is on record, and add the rest",
    "all": "record everything anew",
}
_LONGEST = 150
"""Characters of a name; file systems take some 255 bytes."""
_OF_LOOP = "anyio_backend"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--modelwire-record`."""
    parser.getgroup("modelwire").addoption(
        "--modelwire-record",
        choices=list(MODES),
        help="what the fixture modelwire_cassette does: "
        + "; ".join(f"{mode}: {what}" for mode, what in MODES.items())
        + ". Without it: none where the environment has CI, else once.",
    )


@pytest.fixture
def modelwire_cassette_options() -> dict[str, Any]:
    """Keyword arguments for the recorder and the player: `redact`, `match`, `speed`. Define it again to set some."""
    return {}


@pytest.fixture
def modelwire_cassette(request: pytest.FixtureRequest, modelwire_cassette_options: dict[str, Any]) -> Transport:
    """A transport for the clients of one test: `OpenAIChatCompletionClient(..., transport=modelwire_cassette)`."""
    from modelwire.record import Player, Recorder  # noqa: PLC0415  # only for tests that use it

    mode = request.config.getoption("--modelwire-record") or ("none" if _in_ci() else "once")
    path = _path(request)
    if mode == "none" or (mode == "once" and path.exists()):
        return Player(path, **modelwire_cassette_options)
    of_recorder = {name: value for name, value in modelwire_cassette_options.items() if name not in ("match", "speed")}
    return Recorder(path, new_only=mode == "new_episodes", **of_recorder)


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _path(request: pytest.FixtureRequest) -> Path:
    """One file for each test and each of its parameters, but for the event loop: what is sent is the same on each."""
    node = request.node
    name: str = getattr(node, "originalname", None) or node.name
    of_class = f"{request.cls.__name__}." if request.cls is not None else ""
    call = getattr(node, "callspec", None)
    if call is not None:
        name += _parameters(call)
    name = re.sub(r"[^\w.\[\]-]", "_", f"{request.path.stem}.{of_class}{name}")
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return request.path.parent / "cassettes" / f"{name}.jsonl"


def _parameters(call: Any) -> str:
    names = call.id.split("-")
    loop = call.params.get(_OF_LOOP)
    if loop is not None:
        loop = loop if isinstance(loop, str) else loop[0]
        names = [name for name in names if name != loop]
    return f"[{'-'.join(names)}]" if names else ""
