"""What the package shows, what importing it loads, and which module may import which."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import modelwire

SOURCE = Path(modelwire.__file__).parent

# Each layer may import itself and those before it; `docs/architecture.md` shows the same table.
LAYERS = [
    {"errors", "types", "options", "_option_table", "_mixins", "_media"},
    {
        "protocols",
        "_http",
        "_frames",
        "_fold",
        "_retry",
        "_options",
        "_schema_lowering",
        "_typed",
        "output",
        "_docstring",
        "_signature",
        "_tools",
        "tokens",
        "_tiktoken",
        "_conversion",
        "models",
    },
    set(),  # providers/_*
    {"_clock", "_stream", "_cancel", "_invoke", "base", "tools"},
    {"middleware", "cache", "replay"},
    {"_transport", "fast"},
    {"_settings", "_call", "client", "record", "_download", "_handover"},
    set(),  # providers/<name>
    {"emulator"},
    {"cli", "__main__", "pytest_plugin"},
]


def layer_of(module: str) -> int:
    if module == "providers" or module.startswith("providers."):
        name = module.partition(".")[2]
        return 2 if name.startswith("_") and not name.startswith("_tokens") else 7
    top = module.split(".", 1)[0]
    found = [index for index, names in enumerate(LAYERS) if top in names]
    assert found, f"{module} belongs to no layer: add it to the table here and in docs/architecture.md"
    return found[0]


def modules() -> list[str]:
    found = (path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py"))
    names = (".".join(path.parts).removesuffix(".__init__") for path in found)
    return sorted(name for name in names if name != "__init__")


def imports(module: str) -> set[str]:
    """modelwire's modules that this one imports when it is loaded."""
    path = SOURCE.joinpath(*module.split("."))
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    found: set[str] = set()
    for node in tree.body:
        for statement in ast.walk(node) if not isinstance(node, (ast.If, ast.FunctionDef, ast.ClassDef)) else ():
            if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("modelwire"):
                base = statement.module.removeprefix("modelwire").lstrip(".")
                submodules = {f"{base}.{alias.name}".lstrip(".") for alias in statement.names} & set(modules())
                found |= submodules or {base}
    return found - {""}


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_its_own_layer_and_those_below(module: str) -> None:
    own = layer_of(module)

    above = {name for name in imports(module) if layer_of(name) > own}

    assert above == set()


@pytest.mark.parametrize("module", [name for name in modules() if not name.startswith("_transport")])
def test_only_the_transport_imports_an_http_library(module: str) -> None:
    path = SOURCE.joinpath(*module.split("."))
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    loaded = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in loaded for alias in node.names} | {getattr(node, "module", None) for node in loaded}

    assert not names & {"httpx", "httpx2", "httpcore"}


@pytest.mark.parametrize("module", [name for name in modules() if layer_of(name) < 3 and not name.startswith("models")])
def test_pure_modules_neither_await_nor_load_an_event_loop(module: str) -> None:
    path = SOURCE.joinpath(*module.split("."))
    text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    tree = ast.parse(text)
    protocols = module == "protocols"  # it declares what others await

    awaits = [node for node in ast.walk(tree) if isinstance(node, (ast.Await, ast.AsyncFunctionDef))]

    assert protocols or not awaits
    assert "import anyio" not in text
    assert "import asyncio" not in text


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_the_package_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import modelwire; print(*sorted(set(sys.modules) - before))"

    loaded = set(python(code).split())

    assert {name for name in loaded if name.split(".")[0] not in sys.stdlib_module_names} == {"modelwire"}
    assert not loaded & {"asyncio", "ssl", "socket", "typing", "inspect", "dataclasses", "json", "logging"}


def test_touching_a_type_loads_msgspec_and_no_event_loop_or_http_library() -> None:
    loaded = set(python("import sys, modelwire; modelwire.UserMessage; print(*sys.modules)").split())

    assert "msgspec" in loaded
    assert not loaded & {"httpx", "httpx2", "anyio", "asyncio", "ssl", "trio", "pydantic", "tiktoken", "redis"}


def test_every_public_name_can_be_imported_and_is_declared_to_type_checkers() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.asname or alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assigned = {
        node.targets[0].id
        for node in block.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }

    assert imported | assigned == set(modelwire.__all__) - {"__version__"}
    assert all(getattr(modelwire, name) is not None for name in modelwire.__all__)
    assert set(modelwire.__all__) <= set(dir(modelwire))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = modelwire.nothing


def test_short_paths_lead_to_the_providers_modules() -> None:
    assert modelwire.openai is import_module("modelwire.providers.openai")
    assert modelwire.azure is import_module("modelwire.providers.azure")


def test_no_provider_is_named_outside_its_own_place() -> None:
    names = ("openai", "azure", "anthropic", "gemini", "ollama", "groq", "deepseek", "mistral", "openrouter")
    allowed = {"__init__", "_option_table", "options", "types"}
    for module in modules():
        if module.startswith(("providers", "models", "_schema_lowering", "_lowering")) or module in allowed:
            continue
        if module.replace("emulator.", "providers.") in modules():  # writes what that codec reads
            continue
        path = SOURCE.joinpath(*module.split("."))
        tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose]
        code = " ".join(node.value for node in constants if isinstance(node.value, str)).lower()

        code = code.replace("openai:gpt-6-sol", "")  # the example in a message
        found = [name for name in names if name in code]

        assert not found, f"{module} names {found}"
