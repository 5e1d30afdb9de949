# Every target works without root and changes nothing outside this folder and the user's cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Test processes at once; each has a control plane of its own (about 1 GiB).
JOBS ?= 2

.PHONY: help demo test check bench bench-templates bench-neighbours bench-memory bench-calls venv lock generate format unit coverage cluster clean
.DEFAULT_GOAL := help

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

demo: $(STAMP) ## Run the main job on this machine, with a timeline
	@$(BIN)/keyferry demo $(ARGS)

# With ARGS only what they name. Else core first and alone: measuring all tests would slow down all of them.
test: check ## Checks, then all tests (builds the control plane and Vault once, about 10 minutes)
	@$(BIN)/python -m keyferry cluster build
	@$(BIN)/python -m keyferry.testing.vault >/dev/null
ifeq ($(strip $(ARGS)),)
	@$(MAKE) --no-print-directory coverage
	@$(BIN)/python -m pytest --ignore=tests/unit/core --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder
else
	@$(BIN)/python -m pytest $(ARGS)
endif

check: $(STAMP) ## Format, lint, types, import contracts, generated files
	@$(BIN)/ruff format --check --quiet . || { echo "run 'make format'"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m keyferry crds --check
	@$(BIN)/python -m tests.docs.function_reference --check

unit: $(STAMP) ## Only the tests that need no control plane
	@$(BIN)/python -m pytest tests/unit tests/contract $(ARGS)

coverage: $(STAMP) ## The tests of core's decisions; every branch must be covered
	@$(BIN)/coverage run --branch --source=keyferry.core -m pytest tests/unit/core -q
	@$(BIN)/coverage report --fail-under=100

cluster: $(STAMP) ## Only the tests on the real control plane
	@$(BIN)/python -m pytest tests/cluster $(ARGS)

bench: $(STAMP) ## Measure against the bare client, in one run
	@$(BIN)/python tests/bench/run.py $(ARGS)

bench-templates: $(STAMP) ## Measure rendering against Go, in one run
	@$(BIN)/python tests/bench/templates.py $(ARGS)

bench-neighbours: $(STAMP) ## Measure a tenant's sync while others' templates are hostile
	@$(BIN)/python tests/bench/neighbours.py $(ARGS)

bench-memory: $(STAMP) ## Measure the operator's memory with one store of each kind in use
	@$(BIN)/python tests/bench/memory.py $(ARGS)

bench-calls: $(STAMP) ## Count calls to each kind of store for 1,000 ExternalSecrets
	@$(BIN)/python tests/bench/calls.py $(ARGS)

generate: $(STAMP) ## Write the generated files
	@$(BIN)/python -m keyferry crds --write
	@$(BIN)/python -m tests.docs.function_reference --write

format: $(STAMP) ## Format, and fix what can be fixed
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

venv: $(STAMP) ## Make .venv with the locked dependencies and the keyferry command

$(STAMP): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Keyferry needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Set PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv module is missing: install python3-venv (Debian, Ubuntu) or python3 with ensurepip"; exit 1; }
	@echo "Making $(VENV) with the locked dependencies (about a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header --no-annotate pyproject.toml

lock: $(STAMP) ## Resolve the dependencies anew (hashed, for all platforms)
	@$(LOCK) --all-extras --group dev --upgrade -o requirements/dev.txt
	@$(LOCK) --extra aws --extra azure --extra vault -c requirements/dev.txt -o requirements/runtime.txt

clean: ## Remove what was made in this folder
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist
