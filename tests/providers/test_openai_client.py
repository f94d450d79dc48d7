"""The OpenAI client: where its requests go, and which key may go there."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire import BadRequestError, OpenAIChatCompletionClient
from tests.chat_answers import HELLO, answer, sent, told
from tests.fakes import FakeTransport, scripted
from tests.server import ScriptedServer

SAMPLE = "sk-of-openai-0123456789"
VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "GROQ_API_KEY", "XAI_API_KEY")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the machine's."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


async def request_of(**options: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    """URL, headers and body of a call."""
    transport: FakeTransport = scripted(told())
    client = OpenAIChatCompletionClient(**({"model": "gpt-4.1"} | options), transport=transport)
    await client.create(HELLO)
    (request,) = transport.requests
    return request.url, {name.decode(): value.decode() for name, value in request.headers}, sent(request.body)


# ---------------------------------------------------------------------- the address


@pytest.mark.anyio
async def test_requests_go_to_openai_by_default(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_API_KEY", SAMPLE)

    url, headers, body = await request_of()

    assert url == "https://api.openai.com/v1/chat/completions"
    assert headers == {
        "authorization": f"Bearer {SAMPLE}",
        "content-type": "application/json",
        "accept": "application/json",
    }
    assert body["model"] == "gpt-4.1"


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://proxy.example.com/v1", "https://proxy.example.com/v1/chat/completions"),
        ("https://proxy.example.com/v1/", "https://proxy.example.com/v1/chat/completions"),
        ("https://proxy.example.com", "https://proxy.example.com/chat/completions"),
        (" https://proxy.example.com/a/b ", "https://proxy.example.com/a/b/chat/completions"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1/chat/completions"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
        ("https://proxy.example.com/v1?tenant=a", "https://proxy.example.com/v1/chat/completions?tenant=a"),
        ("https://proxy.example.com/v1/?tenant=a", "https://proxy.example.com/v1/chat/completions?tenant=a"),
        ("https://proxy.example.com/v1#part", "https://proxy.example.com/v1/chat/completions"),
    ],
)
@pytest.mark.anyio
async def test_a_base_url_is_a_prefix(base_url: str, url: str) -> None:
    assert (await request_of(base_url=base_url))[0] == url


@pytest.mark.anyio
async def test_the_base_url_of_the_environment_is_the_default(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_BASE_URL", "https://proxy.example.com/v1")

    assert (await request_of())[0] == "https://proxy.example.com/v1/chat/completions"
    assert (await request_of(base_url="https://other.example.com"))[0] == "https://other.example.com/chat/completions"


@pytest.mark.parametrize(
    "base_url",
    [
        "api.example.com/v1",
        "localhost:8000",
        "ftp://api.example.com",
        "https://",
        "https:///v1",
        "https://api.example.com:port/v1",
        "https://api.example.com:99999/v1",
        "https://api.example.com:0/v1",
        "//api.example.com",
    ],
)
def test_what_is_no_http_address_is_refused_with_an_example(base_url: str) -> None:
    with pytest.raises(ValueError, match="an absolute http or https URL is needed, such as"):
        OpenAIChatCompletionClient(model="m", base_url=base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://user:hush-hush@api.example.com/v1",
        "https://hush-hush@api.example.com/v1",
        "https://user:hush/hush-hush@api.example.com",
        "ftp://user:hush-hush@api.example.com",
    ],
)
def test_an_address_with_a_password_is_refused_without_showing_it(
    base_url: str, environment: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        OpenAIChatCompletionClient(model="m", base_url=base_url)
    assert "hush" not in str(caught.value)

    environment.setenv("OPENAI_BASE_URL", base_url)
    with pytest.raises(ValueError, match="base_url") as caught:
        OpenAIChatCompletionClient(model="m")
    assert "hush" not in str(caught.value)


# ---------------------------------------------------------------------- the key


async def key_sent(**options: Any) -> str | None:
    return (await request_of(**options))[1].get("authorization")


@pytest.mark.anyio
async def test_a_passed_key_beats_the_variable_and_goes_anywhere(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_API_KEY", SAMPLE)

    assert await key_sent(api_key="sk-mine") == "Bearer sk-mine"
    assert await key_sent(api_key="sk-mine", base_url="https://other.example.com") == "Bearer sk-mine"
    assert await key_sent(api_key="  sk-mine\n") == "Bearer sk-mine"


@pytest.mark.parametrize(
    "base_url",
    [
        "https://other.example.com/v1",
        "http://localhost:8000/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com.evil.example/v1",
        "https://notapi.openai.com/v1",
        "https://openai.com/v1",
        "https://evil.example/api.openai.com",
        "https://api.groq.com/openai/v1",
    ],
)
@pytest.mark.anyio
async def test_openais_key_of_the_environment_goes_to_no_other_server(
    base_url: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("OPENAI_API_KEY", SAMPLE)
    environment.setenv("OPENAI_BASE_URL", "https://proxy.example.com/v1")

    assert await key_sent(base_url=base_url) is None


@pytest.mark.parametrize("base_url", ["https://api.openai.com/v1", "https://eu.api.openai.com/v1"])
@pytest.mark.anyio
async def test_openais_own_hosts_get_it(base_url: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_API_KEY", SAMPLE)

    assert await key_sent(base_url=base_url) == f"Bearer {SAMPLE}"


@pytest.mark.parametrize(
    ("variable", "passed", "goes"),
    [
        ("https://proxy.example.com/v1", None, True),
        ("https://proxy.example.com/v1", "https://proxy.example.com/v2", True),
        ("https://proxy.example.com/v1", "https://proxy.example.com:443/v1", True),
        ("https://proxy.example.com/v1", "http://proxy.example.com/v1", False),
        ("https://proxy.example.com/v1", "https://proxy.example.com:8443/v1", False),
        ("https://api.groq.com/openai/v1", None, True),
    ],
)
@pytest.mark.anyio
async def test_the_server_that_the_environment_names_gets_it(
    variable: str, passed: str | None, goes: bool, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("OPENAI_API_KEY", SAMPLE)
    environment.setenv("OPENAI_BASE_URL", variable)

    assert await key_sent(base_url=passed) == (f"Bearer {SAMPLE}" if goes else None)


@pytest.mark.anyio
async def test_a_presets_server_gets_the_presets_key(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_API_KEY", SAMPLE)
    environment.setenv("GROQ_API_KEY", "gsk-of-groq")

    assert await key_sent(base_url="https://api.groq.com/openai/v1") == "Bearer gsk-of-groq"
    assert await key_sent(base_url="https://api.groq.com:8443/openai/v1") is None
    assert await key_sent(base_url="http://api.groq.com/openai/v1") is None
    assert await key_sent(base_url="https://other.example.com") is None


@pytest.mark.anyio
async def test_a_presets_server_is_spoken_to_as_it_wants() -> None:
    body = (await request_of(base_url="https://api.deepseek.com", max_tokens=5))[2]

    assert (body["max_tokens"], "max_completion_tokens" in body) == (5, False)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match="no API key: pass api_key= or set OPENAI_API_KEY"):
        OpenAIChatCompletionClient(model="gpt-4.1")


def test_an_empty_variable_is_no_key(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_API_KEY", "  ")

    with pytest.raises(ValueError, match="no API key"):
        OpenAIChatCompletionClient(model="gpt-4.1")


@pytest.mark.parametrize(
    "key", ["sk-hush\nhush", "sk-hush hush", "sk-hush\r\nx: y", "sk-hüsh", "sk-hush\0", "“sk-hush”"]
)
def test_a_key_that_is_none_is_refused_without_showing_it(key: str, environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="characters that no key has") as caught:
        OpenAIChatCompletionClient(model="m", api_key=key)
    assert "hush" not in str(caught.value)
    assert "hüsh" not in str(caught.value)

    environment.setenv("OPENAI_API_KEY", key.replace("\0", "\1"))
    with pytest.raises(ValueError, match="characters that no key has"):
        OpenAIChatCompletionClient(model="m")


@pytest.mark.anyio
async def test_a_local_server_needs_no_key() -> None:
    assert await key_sent(base_url="http://localhost:8000/v1") is None


# ---------------------------------------------------------------------- organization and project


@pytest.mark.anyio
async def test_organization_and_project_are_headers(environment: pytest.MonkeyPatch) -> None:
    _, headers, _ = await request_of(api_key="sk-mine", organization="org-1", project="proj-1")
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")

    environment.setenv("OPENAI_ORG_ID", "org-2")
    environment.setenv("OPENAI_PROJECT_ID", "proj-2")
    _, headers, _ = await request_of(api_key="sk-mine", project="proj-1")
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-2", "proj-1")


@pytest.mark.anyio
async def test_those_of_the_environment_go_to_openai_alone_and_passed_ones_anywhere(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("OPENAI_ORG_ID", "org-2")
    environment.setenv("OPENAI_PROJECT_ID", "proj-2")

    _, headers, _ = await request_of(base_url="https://proxy.example.com/v1")
    assert not [name for name in headers if name.startswith("openai-")]

    _, headers, _ = await request_of(base_url="https://proxy.example.com/v1", organization="org-1")
    assert (headers["openai-organization"], "openai-project" in headers) == ("org-1", False)


# ---------------------------------------------------------------------- options


@pytest.mark.anyio
async def test_openai_gets_its_own_spelling() -> None:
    _, _, body = await request_of(api_key="sk-mine", max_tokens=5)

    assert (body["max_completion_tokens"], "max_tokens" in body) == (5, False)


@pytest.mark.anyio
async def test_an_option_of_compatible_servers_is_for_them() -> None:
    with pytest.raises(BadRequestError, match="min_p is not supported"):
        await request_of(api_key="sk-mine", min_p=0.1)

    assert (await request_of(base_url="http://localhost:8000/v1", min_p=0.1))[2]["min_p"] == 0.1


def test_facts_of_a_known_model_and_of_its_snapshots() -> None:
    for model in ("gpt-4.1", "gpt-4.1-2025-04-14"):
        info = OpenAIChatCompletionClient(model=model, api_key="sk-mine").model_info
        assert (info["model"], info["family"], info["max_input_tokens"]) == (model, "gpt-41", 1_047_576)

    info = OpenAIChatCompletionClient(model="brand-new", api_key="sk-mine").model_info
    assert (info["family"], info["vision"], info.get("max_input_tokens")) == ("unknown", True, None)


# ---------------------------------------------------------------------- on a real socket


@pytest.mark.anyio
async def test_what_arrives(server: ScriptedServer, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    environment.setenv("OPENAI_API_KEY", SAMPLE)
    server.add(answer())

    async with OpenAIChatCompletionClient(model="m", organization="org-1") as client:
        assert (await client.create(HELLO, extra_headers={"X-Trace": "1"})).content == "Hi there"

    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {SAMPLE}"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["openai-organization"] == "org-1"
    assert request.headers["x-trace"] == "1"
    assert request.headers["user-agent"].startswith("modelwire")
    assert sent(request.body) == {"model": "m", "messages": [{"role": "user", "content": "Hello", "name": "user"}]}
