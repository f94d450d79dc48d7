"""The fast transport by itself (`pip install 'modelwire[fast]'`).

`transport="fast"` gives each client one of its own. Several clients can share the connections of one, and it can serve
httpx:

```python
shared = FastTransport(max_connections=50)  # its owner closes it: await shared.aclose()
client = OpenAIChatCompletionClient(model="gpt-4.1", transport=shared)

http_client = httpx.AsyncClient(transport=FastHttpxTransport(), timeout=30)
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwire._transport.fast import FastTransport
    from modelwire._transport.fast.for_httpx import FastHttpxTransport

__all__ = ["FastHttpxTransport", "FastTransport"]

_MODULES = {"FastTransport": "fast", "FastHttpxTransport": "fast.for_httpx"}
"""The second loads httpx, the first does not."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"modelwire._transport.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "httptools":
            raise
        raise ImportError(f"{name} needs httptools: pip install 'modelwire[fast]'", name="httptools") from None
    return getattr(module, name)
