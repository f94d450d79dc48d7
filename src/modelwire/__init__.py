"""modelwire: one typed, async SDK for chat models.

```python
from modelwire import OpenAIChatCompletionClient, UserMessage

async with OpenAIChatCompletionClient(model="gpt-4.1") as client:
    result = await client.create([UserMessage(content="Hello")])
```

Importing this package imports nothing else: each name below loads its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as type checkers take it; importing `typing` for it would double the cost of this import
if TYPE_CHECKING:  # `as`: a re-export, for type checkers
    from modelwire._cancel import CancellationToken as CancellationToken
    from modelwire._handover import Fetched as Fetched
    from modelwire._handover import Handover as Handover
    from modelwire._handover import Loss as Loss
    from modelwire._handover import handover as handover
    from modelwire._retry import RetryPolicy as RetryPolicy
    from modelwire._stream import EventStream as EventStream
    from modelwire._stream import TextStream as TextStream
    from modelwire.base import ChatCompletionClient as ChatCompletionClient
    from modelwire.cache.disk import DiskCacheStore as DiskCacheStore
    from modelwire.cache.memory import InMemoryCacheStore as InMemoryCacheStore
    from modelwire.cache.redis import RedisCacheStore as RedisCacheStore
    from modelwire.client import ProviderClient as ProviderClient
    from modelwire.client import connect as connect
    from modelwire.client import messages_from as messages_from
    from modelwire.errors import AuthenticationError as AuthenticationError
    from modelwire.errors import BadRequestError as BadRequestError
    from modelwire.errors import CacheMissError as CacheMissError
    from modelwire.errors import CacheStoreError as CacheStoreError
    from modelwire.errors import ConnectionFailedError as ConnectionFailedError
    from modelwire.errors import ContentFilterError as ContentFilterError
    from modelwire.errors import ContextLengthError as ContextLengthError
    from modelwire.errors import ModelClientError as ModelClientError
    from modelwire.errors import ModelTimeoutError as ModelTimeoutError
    from modelwire.errors import ModelwireError as ModelwireError
    from modelwire.errors import NotFoundError as NotFoundError
    from modelwire.errors import NotRecordedError as NotRecordedError
    from modelwire.errors import OutputValidationError as OutputValidationError
    from modelwire.errors import OverloadedError as OverloadedError
    from modelwire.errors import PermissionDeniedError as PermissionDeniedError
    from modelwire.errors import ProtocolError as ProtocolError
    from modelwire.errors import QuotaExceededError as QuotaExceededError
    from modelwire.errors import RateLimitError as RateLimitError
    from modelwire.errors import ServerError as ServerError
    from modelwire.errors import StreamInterruptedError as StreamInterruptedError
    from modelwire.errors import ToolCallError as ToolCallError
    from modelwire.errors import UnsupportedOptionError as UnsupportedOptionError
    from modelwire.middleware.caching import ChatCompletionCache as ChatCompletionCache
    from modelwire.middleware.fallback import FallbackModelClient as FallbackModelClient
    from modelwire.middleware.metering import TokenCountingClient as TokenCountingClient
    from modelwire.models import ModelFamily as ModelFamily
    from modelwire.models import validate_model_info as validate_model_info
    from modelwire.options import ModelInfo as ModelInfo
    from modelwire.protocols import CacheStore as CacheStore
    from modelwire.protocols import LockingCacheStore as LockingCacheStore
    from modelwire.protocols import Timeouts as Timeouts
    from modelwire.providers.anthropic import AnthropicChatCompletionClient as AnthropicChatCompletionClient
    from modelwire.providers.azure import AzureOpenAIChatCompletionClient as AzureOpenAIChatCompletionClient
    from modelwire.providers.compatible import (
        OpenAICompatibleChatCompletionClient as OpenAICompatibleChatCompletionClient,
    )
    from modelwire.providers.gemini import GeminiChatCompletionClient as GeminiChatCompletionClient
    from modelwire.providers.ollama import OllamaChatCompletionClient as OllamaChatCompletionClient
    from modelwire.providers.openai import OpenAIChatCompletionClient as OpenAIChatCompletionClient
    from modelwire.record import Player as Player
    from modelwire.record import Recorder as Recorder
    from modelwire.replay import ReplayChatCompletionClient as ReplayChatCompletionClient
    from modelwire.tokens import TokenCount as TokenCount
    from modelwire.tools import FunctionTool as FunctionTool
    from modelwire.tools import run_tools as run_tools
    from modelwire.tools import tool as tool
    from modelwire.types import AnyTool as AnyTool
    from modelwire.types import AssistantMessage as AssistantMessage
    from modelwire.types import Attempt as Attempt
    from modelwire.types import Audio as Audio
    from modelwire.types import AudioDelta as AudioDelta
    from modelwire.types import ChatRequest as ChatRequest
    from modelwire.types import Choice as Choice
    from modelwire.types import ChoiceEnd as ChoiceEnd
    from modelwire.types import Citation as Citation
    from modelwire.types import CitationDelta as CitationDelta
    from modelwire.types import CreateResult as CreateResult
    from modelwire.types import CustomTool as CustomTool
    from modelwire.types import Document as Document
    from modelwire.types import Finish as Finish
    from modelwire.types import FunctionCall as FunctionCall
    from modelwire.types import Image as Image
    from modelwire.types import InputPart as InputPart
    from modelwire.types import LogprobsDelta as LogprobsDelta
    from modelwire.types import Message as Message
    from modelwire.types import Part as Part
    from modelwire.types import PartEnd as PartEnd
    from modelwire.types import ProviderEvent as ProviderEvent
    from modelwire.types import ProviderPart as ProviderPart
    from modelwire.types import ProviderTool as ProviderTool
    from modelwire.types import RateLimit as RateLimit
    from modelwire.types import RateLimitWindow as RateLimitWindow
    from modelwire.types import Reasoning as Reasoning
    from modelwire.types import ReasoningDelta as ReasoningDelta
    from modelwire.types import Refusal as Refusal
    from modelwire.types import RefusalDelta as RefusalDelta
    from modelwire.types import ResponseFormat as ResponseFormat
    from modelwire.types import Start as Start
    from modelwire.types import StreamEvent as StreamEvent
    from modelwire.types import SystemMessage as SystemMessage
    from modelwire.types import Text as Text
    from modelwire.types import TextDelta as TextDelta
    from modelwire.types import Timing as Timing
    from modelwire.types import TokenLogprob as TokenLogprob
    from modelwire.types import Tool as Tool
    from modelwire.types import ToolCallDelta as ToolCallDelta
    from modelwire.types import ToolCallStart as ToolCallStart
    from modelwire.types import ToolChoice as ToolChoice
    from modelwire.types import ToolMessage as ToolMessage
    from modelwire.types import ToolResult as ToolResult
    from modelwire.types import TopLogprob as TopLogprob
    from modelwire.types import Usage as Usage
    from modelwire.types import UsageUpdate as UsageUpdate
    from modelwire.types import UserMessage as UserMessage
    from modelwire.types import Video as Video

    # AutoGen's names of the same things.
    ChatCompletionTokenLogprob = TokenLogprob
    LLMMessage = Message
    FunctionExecutionResult = ToolResult
    FunctionExecutionResultMessage = ToolMessage
    ModelCapabilities = ModelInfo
    RequestUsage = Usage

_MODULES = {
    "modelwire._cancel": ("CancellationToken",),
    "modelwire._retry": ("RetryPolicy",),
    "modelwire._stream": ("EventStream", "TextStream"),
    "modelwire.base": ("ChatCompletionClient",),
    "modelwire.cache.disk": ("DiskCacheStore",),
    "modelwire.cache.memory": ("InMemoryCacheStore",),
    "modelwire.cache.redis": ("RedisCacheStore",),
    "modelwire.client": ("ProviderClient", "connect", "messages_from"),
    "modelwire.errors": (
        "AuthenticationError",
        "BadRequestError",
        "CacheMissError",
        "CacheStoreError",
        "ConnectionFailedError",
        "ContentFilterError",
        "ContextLengthError",
        "ModelClientError",
        "ModelTimeoutError",
        "ModelwireError",
        "NotFoundError",
        "NotRecordedError",
        "OutputValidationError",
        "OverloadedError",
        "PermissionDeniedError",
        "ProtocolError",
        "QuotaExceededError",
        "RateLimitError",
        "ServerError",
        "StreamInterruptedError",
        "ToolCallError",
        "UnsupportedOptionError",
    ),
    "modelwire._handover": ("Fetched", "Handover", "Loss", "handover"),
    "modelwire.middleware.caching": ("ChatCompletionCache",),
    "modelwire.middleware.fallback": ("FallbackModelClient",),
    "modelwire.middleware.metering": ("TokenCountingClient",),
    "modelwire.models": ("ModelFamily", "validate_model_info"),
    "modelwire.options": ("ModelInfo",),
    "modelwire.protocols": ("CacheStore", "LockingCacheStore", "Timeouts"),
    "modelwire.providers.azure": ("AzureOpenAIChatCompletionClient",),
    "modelwire.providers.compatible": ("OpenAICompatibleChatCompletionClient",),
    "modelwire.providers.anthropic": ("AnthropicChatCompletionClient",),
    "modelwire.providers.gemini": ("GeminiChatCompletionClient",),
    "modelwire.providers.ollama": ("OllamaChatCompletionClient",),
    "modelwire.providers.openai": ("OpenAIChatCompletionClient",),
    "modelwire.record": ("Player", "Recorder"),
    "modelwire.replay": ("ReplayChatCompletionClient",),
    "modelwire.tokens": ("TokenCount",),
    "modelwire.tools": ("FunctionTool", "run_tools", "tool"),
    "modelwire.types": (
        "AnyTool",
        "AssistantMessage",
        "Attempt",
        "Audio",
        "AudioDelta",
        "ChatRequest",
        "Choice",
        "ChoiceEnd",
        "Citation",
        "CitationDelta",
        "CreateResult",
        "CustomTool",
        "Document",
        "Finish",
        "FunctionCall",
        "Image",
        "InputPart",
        "LogprobsDelta",
        "Message",
        "Part",
        "PartEnd",
        "ProviderEvent",
        "ProviderPart",
        "ProviderTool",
        "RateLimit",
        "RateLimitWindow",
        "Reasoning",
        "ReasoningDelta",
        "Refusal",
        "RefusalDelta",
        "ResponseFormat",
        "Start",
        "StreamEvent",
        "SystemMessage",
        "Text",
        "TextDelta",
        "Timing",
        "TokenLogprob",
        "Tool",
        "ToolCallDelta",
        "ToolCallStart",
        "ToolChoice",
        "ToolMessage",
        "ToolResult",
        "TopLogprob",
        "Usage",
        "UsageUpdate",
        "UserMessage",
        "Video",
    ),
}
_RENAMED = {
    # AutoGen's names of the same things.
    "ChatCompletionTokenLogprob": ("modelwire.types", "TokenLogprob"),
    "FunctionExecutionResult": ("modelwire.types", "ToolResult"),
    "FunctionExecutionResultMessage": ("modelwire.types", "ToolMessage"),
    "LLMMessage": ("modelwire.types", "Message"),
    "ModelCapabilities": ("modelwire.options", "ModelInfo"),
    "RequestUsage": ("modelwire.types", "Usage"),
}
_WHERE = {name: (module, name) for module, names in _MODULES.items() for name in names} | _RENAMED
_SUBMODULES = {name: f"modelwire.providers.{name}" for name in ("anthropic", "azure", "gemini", "ollama", "openai")}
"""Short public paths: `modelwire.openai` is `modelwire.providers.openai`."""

__version__ = "0.1.0"

__all__ = [*_WHERE, "__version__"]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name in _WHERE:
        module, attribute = _WHERE[name]
        value: object = getattr(import_module(module), attribute)
    elif name in _SUBMODULES:
        value = import_module(_SUBMODULES[name])
    else:
        raise AttributeError(f"module 'modelwire' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_SUBMODULES])
