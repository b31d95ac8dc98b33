# The only runner. Every target but `help` first brings .venv up to date with uv.lock; that costs nothing when it is.

BIN := .venv/bin
STAMP := .venv/.synced
UV := $(if $(shell uv --version 2>/dev/null),uv,.uv/bin/uv)
PYTHON ?= python3
ARGS ?=
CASES ?= 1000
SPREAD := -n auto --maxprocesses 8 --dist loadscope --no-loadscope-reorder --max-worker-restart 0
# What counts how soon a cluster is back has the machine for itself; all else shares it.
CAMPAIGN = RUNWRIGHT_TEST_SOAK=$(CASES) $(BIN)/python -m pytest -rP --timeout 3600

.DEFAULT_GOAL := help
.PHONY: help setup run test soak check gate bench docs fix

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## build .venv from uv.lock

run: setup ## serve, show the samples live, go on serving (ARGS=--exit: stop after them)
	$(BIN)/runwright up $(ARGS)

test: setup ## run the whole test suite (ARGS: passed on to pytest)
	$(BIN)/python -m pytest $(SPREAD) $(ARGS)

soak: setup ## the long campaign: a cluster, failing disks, rules, the simulation, every operation, new cases (CASES: how many)
	$(CAMPAIGN) tests/cluster tests/faults/test_disk.py tests/acceptance/test_loop_kill.py tests/acceptance/test_terminal.py $(ARGS)
	$(CAMPAIGN) $(SPREAD) tests/domain tests/simulation tests/engine tests/acceptance/test_schemathesis.py $(ARGS)
	$(CAMPAIGN) $(SPREAD) -m hypothesis tests --ignore=tests/domain --ignore=tests/simulation --ignore=tests/engine --ignore=tests/acceptance $(ARGS)

check: setup ## formatting, lint, types, import rules, dependencies, generated files, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/python docs/generate_client.py --check
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m pytest -q tests/house

gate: setup ## judge this repository as it is now by .runwright/policy.yaml of its last commit; no server, no network
	$(BIN)/runwright gate run $(ARGS)

bench: setup ## measure every figure, and the peers beside us (ARGS: --help)
	$(BIN)/python -m benchmarks $(ARGS)

docs: setup ## write the blocking client and docs/reference from the code
	$(BIN)/python docs/generate_client.py
	$(BIN)/python docs/generate.py

fix: setup ## let ruff mend lint and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Compiled once, here: where Python may not keep what it compiles, each start of a program would spend two seconds on it.
$(STAMP): pyproject.toml uv.lock | $(filter .uv/%,$(UV))
	$(UV) sync --frozen --quiet --compile-bytecode
	@$(BIN)/python -m compileall -q src
	@touch $@

# --target keeps uv out of the system's Python and needs no venv module.
.uv/bin/uv:
	$(PYTHON) -m pip install --quiet --target .uv uv
