"""`ProviderClient` joins a codec to a transport; `connect` picks a client by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import msgspec

from modelwire import _options, models, tokens
from modelwire._call import Call, CountCall, PlainCall, ProviderStream
from modelwire._cancel import checked_token
from modelwire._clock import RealClock
from modelwire._settings import SETTINGS, to_headers, to_model_info, to_retry, to_timeouts, to_transport
from modelwire._tools import to_tool_choice, to_tools, to_unwritten_tools
from modelwire.base import ChatCompletionClient, cannot_count
from modelwire.errors import BadRequestError, UnsupportedOptionError
from modelwire.output import response_schema
from modelwire.protocols import CountingCodec
from modelwire.types import (
    AssistantMessage,
    ChatRequest,
    InputPart,
    Part,
    ResponseFormat,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Self

    from modelwire._settings import ClientSettings, Headers
    from modelwire._stream import EventStream
    from modelwire.base import ToolChoiceLike, ToolLike
    from modelwire.options import ModelInfo
    from modelwire.protocols import Clock, Codec, HttpRequest
    from modelwire.tokens import TokenCount
    from modelwire.types import CreateResult, Message

    TokenSource = Callable[[bool], Awaitable[str]]

C = TypeVar("C", bound=Call)
_MESSAGES = (UserMessage, AssistantMessage, SystemMessage, ToolMessage)
_MESSAGE_TYPES = frozenset(_MESSAGES)
_INPUT = (str, *get_args(InputPart))
_ALLOWED: dict[type, tuple[type, ...]] = {
    SystemMessage: (str, Text),
    UserMessage: _INPUT,
    AssistantMessage: (str, *get_args(Part)),
    ToolMessage: (ToolResult,),
    ToolResult: _INPUT,
}
"""What the content of each may consist of."""
_KINDS = {kind: frozenset(allowed) for kind, allowed in _ALLOWED.items()}
_OF_CLIENT = SETTINGS - {"deadline"} | {"model", "api_key", "base_url"}
_MERGED = 16
"""Sets of headers that a client remembers: with and without streaming, of the last tokens."""
_NOTED = 64
"""Calls whose usage waits to be added to the total."""
_NEUTRAL = (b"accept", b"content-type")
_OF_VERSION = re.compile(rb"version|beta")
"""In the name of a header or parameter that says how the server is to read the request."""
_ANY_TEXT = ResponseFormat(type="text")


class _Asked(msgspec.Struct, frozen=True):
    """What the options of a call ask for: its own and the client's, by their portable names."""

    deadline: float | None
    extra_headers: Any
    token: Any
    response_format: Any
    options: dict[str, Any]
    """The others; not to be changed, since calls share them."""
    lacking: dict[str, str]
    """Those that the API has no word for, each with the reason."""


class ProviderClient(ChatCompletionClient):
    """A client of one model of one provider; the public clients in `providers/` differ in what they give to this one.

    It owns the retries, the deadline and the connections of its calls.
    """

    def __init__(
        self,
        *,
        model: str,
        codec: Codec,
        family: str,
        given: Mapping[str, Any],
        secret_headers: Headers = (),
        token: TokenSource | None = None,
        headers: Mapping[str, str] | None = None,
        known: ModelInfo | None = None,
    ) -> None:
        """`given` holds the user's `ClientSettings` and default options, `family` names the type of the options.

        `known` are the model's facts where they are not those of `model` at this provider.
        """
        settings = cast("ClientSettings", {name: value for name, value in given.items() if name in SETTINGS})
        options = _options.flattened({name: value for name, value in given.items() if name not in SETTINGS})
        _options.check_names(options, family)
        self.model = model
        self.codec = codec
        self.transport = to_transport(settings)
        self._passed_transport = self.transport is settings.get("transport")
        self.retry = to_retry(settings)
        self.timeouts = to_timeouts(settings.get("timeout"))
        self.gate = settings.get("gate")
        self.clock: Clock = settings.get("clock") or RealClock()
        self.model_info = models.merged(known or models.lookup(codec.provider, model), to_model_info(settings))
        self.headers: Headers = (*to_headers(headers), *to_headers(settings.get("default_headers")))
        self._no_names = settings.get("include_name_in_message") is False
        self._name_prefixes = bool(settings.get("add_name_prefixes"))
        self._merged: dict[tuple[Headers, Headers], Headers] = {}
        self._family = family
        self.secret_headers: Headers = secret_headers
        self._token = token
        self.guarded = self.gate is not None or token is not None
        """Whether an attempt waits for something before it is sent: the gate, or a token."""
        self._defaults = _options.portable(options)
        self._asked_always: _Asked | None = None
        """What a call without options of its own asks for; made by the first one."""
        self._deadline = _options.to_deadline(settings.get("deadline"))
        self._used = Usage(prompt_tokens=0, completion_tokens=0)
        self._noted: list[Usage] = []

    @classmethod
    def create_from_config(cls, config: dict[str, Any]) -> Self:
        """A client from its constructor's arguments in a dict; AutoGen's word."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, provider={self.codec.provider!r})"

    # ------------------------------------------------------------------ the verbs

    async def create(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> CreateResult:
        """Ask the model and wait for the whole answer.

        Options given here go over those of the client; `None` switches one off. Raises `ModelClientError`, or one of
        its kinds; `BadRequestError` with `status_code` 0 for what was refused before anything was sent.
        """
        call = self._call(PlainCall, messages, tools, tool_choice, options, stream=False)
        return await call.run(self.codec.decode)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> EventStream:
        """Ask the model and get typed events as they arrive; the last is a `Finish`.

        Nothing is sent before the first event is asked for. Raises as `create` does, from the iteration; what is
        wrong with the request itself is raised here.
        """
        return ProviderStream(self._call(Call, messages, tools, tool_choice, options, stream=True))

    async def request_key(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> bytes | None:
        """Equal for equal requests to the same server: provider, URL, headers that change the answer, and body.

        Of headers that are the user's, and of the URL's query, only what names a version or a beta enters: the rest
        may be a credential.
        """
        call = self._call(PlainCall, messages, tools, tool_choice, options, stream=False)
        http = call.http
        headers = {name: value for name, value in http.headers if name not in _NEUTRAL}
        headers.update((name, value) for name, value in (*self.headers, *call.headers) if _OF_VERSION.search(name))
        marked = b"".join(b"%b:%b\n" % header for header in headers.items())
        url, _, query = http.url.partition("?")
        if query:
            versions = [part for part in query.encode().split(b"&") if _OF_VERSION.search(part.partition(b"=")[0])]
            marked += b"?" + b"&".join(versions)
        return b"\0".join((self.codec.provider.encode(), url.encode(), marked, http.body))

    def _call(
        self,
        kind: type[C],
        messages: Sequence[Message],
        tools: Sequence[ToolLike],
        tool_choice: ToolChoiceLike,
        given: dict[str, Any],
        *,
        stream: bool,
        encode: Callable[[ChatRequest, ModelInfo], HttpRequest] | None = None,
    ) -> C:
        """A call of this kind, checked and encoded, by `encode` rather than the codec's own; nothing is sent yet."""
        if given:
            asked = self._asked(given)
        else:
            asked = self._asked_always = self._asked_always or self._asked({})
        token = None if asked.token is None else checked_token(asked.token)
        extra_headers = () if asked.extra_headers is None else to_headers(asked.extra_headers)
        request, dropped = self._request(messages, tools, tool_choice, asked, stream=stream)
        try:
            http = (encode or self.codec.encode)(request, self.model_info)
        except Exception:
            to_tools(request.tools or ())  # says which one is no JSON, where that is why
            raise
        return kind(self, request, http, headers=extra_headers, deadline=asked.deadline, token=token, dropped=dropped)

    def _asked(self, given: dict[str, Any]) -> _Asked:
        """What a call asks for with these options, and by the client's own."""
        given = _options.flattened(given)
        for name in given:
            if name in _OF_CLIENT:
                instead = ", or use deadline= here" if name == "timeout" else ""
                raise BadRequestError(
                    f"{name} is a setting of the client, not of a call: pass it to the constructor{instead}"
                )
        _options.check_names(given, self._family)
        call_options = _options.portable(given)
        deadline = _options.to_deadline(call_options.pop("deadline", self._deadline))
        options = _options.merged(self._defaults, call_options)
        return _Asked(
            deadline=deadline,
            extra_headers=options.pop("extra_headers", None),
            token=options.pop("cancellation_token", None),
            response_format=options.pop("response_format", None),
            # In one order, so that equal calls have equal bytes, and so equal keys.
            options=dict(sorted(options.items())),
            lacking=_options.lacking(options, self._family, self.codec.dialect, self.codec.spellings),
        )

    def _request(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolLike],
        tool_choice: ToolChoiceLike,
        asked: _Asked,
        *,
        stream: bool,
    ) -> tuple[ChatRequest, list[str]]:
        """What the codec encodes, and the names of what was left out because the options said so."""
        options = asked.options
        wanted = None if asked.response_format is None else response_schema(asked.response_format)
        tool_structs = to_unwritten_tools(tools) if tools else []
        choice = None if tool_choice == "auto" else to_tool_choice(tool_choice, tool_structs)
        request = ChatRequest(
            model=self.model,
            messages=self._messages(messages),
            tools=tool_structs or None,
            tool_choice=choice,
            response_format=wanted,
            options=options,
            stream=stream,
        )
        if not (options or tool_structs or choice or wanted):  # nothing that could be lacking
            return request, []
        codec = self.codec
        refused = {**asked.lacking, **codec.refused(request, self.model_info)}
        request, left_out = _without_refused_fields(request, refused, codec.provider)
        if refused or "unsupported" in options:
            resolved = _options.resolve(options, refused, codec.dialect, codec.provider)
            kept = resolved.options
            kept.pop("unsupported", None)
            if len(kept) != len(options):
                request = msgspec.structs.replace(request, options=kept)
            left_out = resolved.dropped + left_out
        return request, left_out

    def _messages(self, messages: Sequence[Any]) -> Sequence[Message]:
        """The messages of a call, with the names in them as the settings want them."""
        checked = checked_messages(messages, self.codec.origin)
        if self._name_prefixes:
            checked = [_prefixed(message) for message in checked]
        if self._no_names:
            checked = [_unnamed(message) for message in checked]
        return checked

    # ------------------------------------------------------------------ what calls ask of their client

    @property
    def refreshable(self) -> bool:
        """Whether another try with fresh credentials makes sense after a 401."""
        return self._token is not None

    def headers_of(self, own: Headers, secrets: Headers, more: Headers) -> Headers:
        """All headers of a request: the codec's own, the credentials, the client's, and those of the call alone.

        Of equal names the later counts: the user's over ours, the call's over the client's.
        """
        if more:
            return tuple(dict((*own, *secrets, *self.headers, *more)).items())
        # The same for all calls but for fresh credentials.
        key = tuple(own), tuple(secrets)
        known = self._merged.get(key)
        if known is None:
            if len(self._merged) >= _MERGED:
                self._merged.clear()
            known = self._merged[key] = tuple(dict((*own, *secrets, *self.headers)).items())
        return known

    async def auth_headers(self, *, refresh: bool) -> Headers:
        """The credentials of one attempt; `refresh` asks for a token that was not used before.

        Without a source of tokens, they are `secret_headers`.
        """
        if self._token is None:
            return self.secret_headers
        return (*self.secret_headers, (b"authorization", b"Bearer " + (await self._token(refresh)).encode()))

    def note_usage(self, usage: Usage | None, request: ChatRequest) -> None:
        """Add to the totals, at the end of a call; `request` is what was asked."""
        del request  # for clients that can tell something from both
        if usage is not None:
            self._noted.append(usage)
            if len(self._noted) >= _NOTED:
                self.actual_usage()

    def count_tokens(self, messages: Sequence[Message], *, tools: Sequence[ToolLike] = ()) -> TokenCount:
        """Tokens that these messages and tools take in the prompt, beside what a `response_format` adds.

        By the model's own tokenizer where `model_info` names it, tiktoken is installed (`modelwire[tiktoken]`) and its
        data is on this machine (`python -m modelwire tokens fetch`); else an estimate. `.method` says which. The first
        count by a tokenizer loads its data, in some 0.3 seconds. Raises `BadRequestError` as `create` does.
        """
        from modelwire import _tiktoken  # noqa: PLC0415  # only needed here

        checked = self._messages(messages) if messages else ()
        names: bool = getattr(self.codec, "message_names", False)
        counter = _tiktoken.counter(self.model_info, names=names)
        return tokens.estimate(checked, tools) if counter is None else counter(checked, tools)

    async def count_tokens_remote(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> TokenCount:
        """Tokens that a call with these arguments has in its prompt, as the provider itself counts them.

        It is a request of its own, with the client's retries, deadline, gate and credentials; most providers take
        nothing for it but count it towards a rate limit. The options are those of `create`: what adds to the prompt
        (`response_format`, `tool_choice`, reasoning settings) is counted, the rest is left out. `.method` is
        `"provider"`. Raises `UnsupportedOptionError` where the API has no endpoint that counts, and what `create` raises.
        """
        codec = self.codec
        if not isinstance(codec, CountingCodec):
            reason: str = getattr(codec, "uncounted", "this API has no endpoint that counts tokens")
            raise cannot_count(f"{codec.provider}: {reason}")
        encode = codec.encode_count
        call = self._call(CountCall, messages, tools, tool_choice, options, stream=False, encode=encode)
        return await call.run(codec.decode_count)

    def actual_usage(self) -> Usage:
        """Tokens that this client's calls used up to now, where the provider reported them."""
        if self._noted:
            self._used = self._used.sum_of((self._used, *self._noted))
            self._noted.clear()
        return self._used

    async def close(self) -> None:
        """Close the connections that this client made; a passed `http_client` or `transport` stays open. Repeatable."""
        if not self._passed_transport:
            await self.transport.aclose()


def _without_refused_fields(
    request: ChatRequest, refused: Mapping[str, str], provider: str
) -> tuple[ChatRequest, list[str]]:
    """The request without those of its fields that are no options and that the API or model lacks all the same.

    Raises `UnsupportedOptionError`, unless the options say `unsupported="drop"`, or the field says nothing.
    """
    if not refused:
        return request, []
    if "response_format" in refused and request.response_format == _ANY_TEXT:
        request = msgspec.structs.replace(request, response_format=None)
    fields = [
        name
        for name in ("tools", "tool_choice", "response_format")
        if name in refused and getattr(request, name) is not None
    ]
    if not fields:
        return request, []
    if (request.options or {}).get("unsupported") != "drop":
        name = fields[0]
        raise UnsupportedOptionError(
            f"{provider}: {name} is not supported: {refused[name]} (or pass unsupported='drop')", option=name
        )
    return msgspec.structs.replace(request, **dict.fromkeys(fields)), fields


def checked_messages(messages: Sequence[Any], origin: str) -> Sequence[Message]:
    """Messages, made from plain dicts where they are such; `origin` is whose opaque data those hold.

    Raises `BadRequestError`, with the place, for anything else.
    """
    if type(messages) is not list and (isinstance(messages, (str, bytes, dict)) or not hasattr(messages, "__len__")):
        raise BadRequestError(
            f"messages is a list, such as [UserMessage(content='Hello')], not {type(messages).__name__}"
        )
    if not messages:
        raise BadRequestError("messages is empty: there is nothing to answer")
    if not _MESSAGE_TYPES.issuperset(map(type, messages)):
        messages = _from_dicts(messages, origin)
    for index, message in enumerate(messages):
        content = message.content
        if type(content) is str:
            if type(message) is not ToolMessage:
                continue
        elif type(content) is list and content:
            allowed = _KINDS[type(message)]
            for part in content:
                kind = type(part)
                if kind not in allowed or (kind is ToolResult and type(part.content) is not str):
                    break
            else:  # nearly always
                continue
        _check_content(message, index)
    return messages


def _from_dicts(messages: Sequence[Any], origin: str) -> list[Message]:
    """Plain dicts, in OpenAI's form or modelwire's own, among messages or alone."""
    from modelwire.providers._openai_chat import Quirks  # noqa: PLC0415  # only users of dicts pay for it
    from modelwire.providers._openai_chat.read import read_messages  # noqa: PLC0415

    raws: list[msgspec.Raw] = []
    for index, message in enumerate(messages):
        if not isinstance(message, (dict, *_MESSAGES)):
            raise BadRequestError(f"messages[{index}]: a message or a dict is needed, not {type(message).__name__}")
        try:
            raws.append(msgspec.Raw(msgspec.json.encode(message)))
        except (TypeError, ValueError) as error:
            raise BadRequestError(f"messages[{index}]: not JSON: {error}") from None
    return read_messages(raws, Quirks(provider=origin))


def _check_content(message: Message, index: int) -> None:
    """Structs do not check what they are built with; a wrong part would end as nonsense on the wire."""
    kind = type(message)
    if isinstance(message.content, str) and kind is not ToolMessage:
        return
    place = f"messages[{index}].content"
    _check_parts(message.content, kind, place)
    if not message.content and kind is not AssistantMessage:
        raise BadRequestError(f"{place}: empty")


def _check_parts(content: Any, owner: type, place: str) -> None:
    allowed = _ALLOWED[owner]
    if not isinstance(content, (list, tuple)):
        raise BadRequestError(f"{place}: a list of {_names(allowed)} is needed, not {type(content).__name__}")
    for index, part in enumerate(content):
        if not isinstance(part, allowed):
            raise BadRequestError(
                f"{place}[{index}]: {type(part).__name__} does not belong into a {owner.__name__}; "
                f"it takes {_names(allowed)}"
            )
        if type(part) is ToolResult and not isinstance(part.content, str):
            _check_parts(part.content, ToolResult, f"{place}[{index}].content")


def _prefixed(message: Message) -> Message:
    """A user's message that says in its text who said it, in AutoGen's words."""
    if not isinstance(message, UserMessage) or not message.source:
        return message
    prefix, content = f"{message.source} said:\n", message.content
    if isinstance(content, str):
        return msgspec.structs.replace(message, content=prefix + content)
    first, *rest = content
    if isinstance(first, Text):
        return msgspec.structs.replace(
            message, content=[msgspec.structs.replace(first, text=prefix + first.text), *rest]
        )
    return msgspec.structs.replace(
        message, content=[prefix + first, *rest] if isinstance(first, str) else [prefix, *content]
    )


def _unnamed(message: Message) -> Message:
    return message if message.source is None else msgspec.structs.replace(message, source=None)


def _names(kinds: tuple[type, ...]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


def connect(name: str, **options: Any) -> ChatCompletionClient:
    """A client by provider and model: `connect("openai:gpt-6-sol", max_tokens=200)`.

    The part before the first colon picks the client, the rest is the model; `options` are those of that client's
    constructor. Raises `ValueError` for a provider that is not known.
    """
    from modelwire.providers import client_factory  # noqa: PLC0415  # the index names them all

    provider, colon, model = name.partition(":")
    if not colon or not provider or not model:
        raise ValueError(f"{name!r}: write it as 'provider:model', such as 'openai:gpt-6-sol'")
    return client_factory(provider)(model=model, **options)


def messages_from(body: Mapping[str, Any] | bytes, dialect: str) -> list[Message]:
    """The messages of a request body in a provider's format, such as `messages_from(body, "openai-chat")`.

    Raises `BadRequestError`, with the place, for a body that is none, and `ValueError` for a dialect that is not known.
    """
    from modelwire.providers import codec_for  # noqa: PLC0415  # the index names them all

    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return list(codec_for(dialect).decode_request(raw).messages)
