"""A server on this machine that answers in the providers' wire formats, for tests: no model, no network, no key.

```python
from modelwire.emulator import Emulator

with Emulator(["Hello!", 429, StreamInterruptedError("cut")]) as emulator:
    client = GeminiChatCompletionClient(model="gemini-2.5-flash", base_url=emulator.url, api_key="none")
```

`emulator.url` serves every format, by the path of the request, so that it is the `base_url` of any client, a vendor's
own included. It is an emulator and says so: in the name of the model that answers, in the header `server`, and in the
text of the answers that nobody scripted. What it shows of a real provider is the form of the answers, never their
content, speed or limits.
"""

from __future__ import annotations

from modelwire.emulator._connection import Received
from modelwire.emulator._script import Answer, Reply, echo
from modelwire.emulator._server import Emulator

__all__ = ["Answer", "Emulator", "Received", "Reply", "echo"]
