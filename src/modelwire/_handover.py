"""Hand a conversation over from one provider's model to another's.

    history = [UserMessage(content="..."), first.message, ...]       # with the answers of any providers, as they came
    converted = await handover(history, to=client)
    for loss in converted.losses:
        log.warning("%s", loss)
    result = await client.create(converted.messages)
    history.append(result.message)                                   # keep the original: nothing in it is lost

Give every call the *original* history: what a handover leaves out, such as another model's signed reasoning, its owner
wants back unchanged, and the same history gives the same messages each time, so that prompt caches work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from modelwire._conversion import Conversion, Fetched, Loss
from modelwire._download import fetch_all, fetch_public
from modelwire.client import ProviderClient, checked_messages
from modelwire.errors import BadRequestError
from modelwire.types import Message  # noqa: TC001  # msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire._download import Fetch
    from modelwire.base import ChatCompletionClient

__all__ = ["Fetched", "Handover", "Loss", "handover"]


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that another model can go on with."""

    messages: list[Message]
    """For `create` and `stream` of that model's client. Messages that needed no change are the objects that were given."""
    losses: list[Loss]
    """Everything that the model is not told, or not told as it was, in the order of the conversation; empty for nothing."""


async def handover(
    messages: Sequence[Message],
    *,
    to: ChatCompletionClient,
    reasoning: Literal["drop", "text"] = "drop",
    fetch: bool | Fetch = False,
    strict: bool = False,
) -> Handover:
    """The conversation in a form that the model of the client `to` takes, and a report of what is lost.

    - Reasoning is valid only where it came from: it stays for the provider and model that recognise it, and is left out
      for all others. With `reasoning="text"` its words stand in its place, in `<thinking>` tags, if it has any.
    - Parts that only their provider understands are left out, citations are taken off texts, and a refusal becomes text
      where the provider has no mark for one.
    - Images, audio, documents and video stay where the model takes them in this form. Otherwise a text document becomes
      text, audio with a transcript its transcript, and what stands at an address is fetched if `fetch` allows it. What
      the assistant drew is shown by the user. All else becomes a note such as `[video left out]`.
    - A call without a result gets an error as its result, a result that comes late is put after its call, and one
      without a call is said by the user; so is a system message amid the conversation where the provider has none.

    Ids of calls are left as they are: each client writes them in its provider's form. Opaque `provider_data` stays on its
    parts and is sent to its provider alone. Neither counts as a loss; nor do hints such as an image's `detail`.

    `fetch=True` fetches over http and https from public addresses, without credentials and proxies, at most 20 MiB and a
    minute for each, and 100 MiB for all; for anything else, pass an async function from an address to `bytes` or
    `Fetched`. An exception that it raises becomes the reason of a loss.

    `to` may be a wrapper around one provider's client. The messages are not changed. Raises `TypeError` for a client with
    no provider, or with several, and `BadRequestError` for messages that are none, and with `strict=True` for any loss.
    """
    client = _provider_client(to)
    given = checked_messages(messages, client.codec.origin)

    def converted(fetched: dict[str, Fetched | str]) -> Conversion:
        conversion = Conversion(client.codec, client.model, client.model_info, reasoning=reasoning, fetched=fetched)
        conversion.run(given)
        return conversion

    made = converted({})
    if fetch and made.wanted:
        urls = list(made.wanted)
        made = converted(await (fetch_public(urls) if fetch is True else fetch_all(urls, fetch)))
    if strict and made.losses:
        listed = "".join(f"\n- {loss}" for loss in made.losses)
        raise BadRequestError(f"{client.codec.provider} cannot take over this conversation without loss:{listed}")
    return Handover(messages=made.messages, losses=made.losses)


def _provider_client(client: Any) -> ProviderClient:
    """The one client that speaks to a provider, at the bottom of its wrappers."""
    inner = client
    while inner is not None and not isinstance(inner, ProviderClient):
        inner = getattr(inner, "inner", None)
    if inner is None:
        raise TypeError(f"to={client!r}: a client of one provider is needed, or a wrapper around one")
    return inner
