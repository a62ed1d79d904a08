# One place for every recurring command. `make help` lists them.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
# A relative path in an environment variable of the user must not leak into pip.
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench explore soak lock clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	@touch $@

# `payg` itself: editable, so that .venv/bin/payg works from any folder and follows the checkout.
$(VENV)/.run: requirements/run.lock pyproject.toml $(VENV)/.created
	@echo "installing the locked dependencies (once, about a minute) ..."
	$(PIP) install --require-hashes --requirement requirements/run.lock
	$(PIP) install --require-hashes --requirement requirements/build.lock
	$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	$(PIP) install --require-hashes --requirement requirements/dev.lock
	@touch $@

setup: $(VENV)/.dev ## set up .venv with everything that tests need

run: $(VENV)/.run ## run the whole path on this machine: `payg up`
	$(BIN)/payg up

clean: ## remove what the other commands made (the data of `make run` stays)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build *.egg-info .import_linter_cache
