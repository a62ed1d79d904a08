# One place for every recurring command. `make help` lists them.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Tests start some hundreds of processes; where this is set, each would compile our packages anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
TARGETS := esp32 rp2 unix
STUBS  := $(TARGETS:%=requirements/stubs-%.lock)
LOCK   := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
          --no-header --no-annotate --quiet

.PHONY: help setup run test lint bench grown explore soak lock clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

$(VENV)/.created:
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# `payg` itself: editable, so that .venv/bin/payg works from any folder and follows the checkout.
$(VENV)/.run: requirements/run.lock pyproject.toml $(VENV)/.created
	@echo "installing the locked dependencies (once, about a minute) ..."
	@$(PIP) install --require-hashes --requirement requirements/run.lock
	@$(PIP) install --require-hashes --requirement requirements/build.lock
	@$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	@$(PIP) install --require-hashes --requirement requirements/dev.lock
	@touch $@

setup: $(VENV)/.dev ## set up .venv with everything that tests need

run: $(VENV)/.run ## run the whole path on this machine: `payg up`
	$(BIN)/payg up

# The boards' own modules for pyright, a folder a target, never in .venv.
.typings/.created: $(STUBS) $(VENV)/.dev
	@rm -rf .typings
	@for lock in $(STUBS); do target=$${lock#requirements/stubs-}; \
	    $(PIP) install --no-deps --require-hashes --requirement $$lock --target .typings/$${target%.lock} || exit 1; done
	@touch $@

lint: $(VENV)/.dev .typings/.created ## ruff, pyright (strict; the firmware as each target sees it too), import-linter, generated codec
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --cache-dir .import_linter_cache
	$(BIN)/python -m protocols.magicbox.codegen --check
	printf '%s\n' . $(TARGETS:%=pyright-%.json) | xargs -P 2 -I PROJECT $(BIN)/pyright --project PROJECT

# mosquitto_sub (any MQTT client will do) and MicroPython for WebAssembly (32-bit numbers). Without them their
# tests are skipped, and listed at the end.
$(VENV)/.tools: $(VENV)/.dev tests/webassembly/package-lock.json tests/install_tools.sh
	@tests/install_tools.sh $(abspath $(BIN))/python
	@touch $@

test: $(VENV)/.tools lint ## everything that must pass before a commit
	$(BIN)/pytest -n 2 --dist worksteal

bench: $(VENV)/.dev ## measure: each service on both databases, the way to the light, tokens, boards
	$(BIN)/python -m tests.bench

grown: $(VENV)/.dev ## measure beside an empty database: a million payments, 100,000 devices; the memory of `payg up` on it
	$(BIN)/python -m tests.bench.grown

explore: $(VENV)/.dev ## long property tests, schemathesis at length, and 200 crashes at random instants
	HYPOTHESIS_PROFILE=explore CONTRACT_EXAMPLES=200 CRASH_SEEDS=200 STORM_PAYMENTS=600 $(BIN)/pytest -n 2 --dist worksteal --timeout 3600

soak: $(VENV)/.dev ## an hour of payments, then 10,000 with a SIGKILL of some service every few seconds
	$(BIN)/python -m tests.soak
	$(BIN)/python -m tests.storm

lock: pyproject.toml ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml $(LOCK) --group dev --output-file requirements/dev.lock
	uv pip compile pyproject.toml $(LOCK) --constraints requirements/dev.lock --output-file requirements/run.lock
	for target in $(TARGETS); do printf 'micropython-%s-stubs\nmicropython-stdlib-stubs\n' $$target | \
	    uv pip compile - $(LOCK) --no-deps --output-file requirements/stubs-$$target.lock || exit 1; done
	echo setuptools | uv pip compile - $(LOCK) --constraints requirements/dev.lock --output-file requirements/build.lock

clean: ## remove what the other commands made (the data of `make run` stays)
	rm -rf $(VENV) .typings tests/webassembly/node_modules .pytest_cache .ruff_cache .hypothesis build *.egg-info .import_linter_cache
