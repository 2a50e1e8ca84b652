# Two commands do all the set-up: `make demo` and `make test`. Both make .venv first, where it is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What was compiled stays compiled: the tests start hundreds of processes of our own.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check fast format lint types imports screenshots benchmarks clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         watch a simulated fleet (q quits)"
	@echo "make test         every test; real servers where they can be had"
	@echo "make fast         the tests that take seconds"
	@echo "make check        format, lint, types, import rules, every test"
	@echo "make screenshots  render the pictures in screenshots/ from the running program"
	@echo "make benchmarks   measure the budgets: JSON and a table"

demo: $(BIN)/.runs
	@$(BIN)/tidegate demo $(ARGS)

test: $(BIN)/.tests
	$(BIN)/pytest -q $(ARGS)

fast: $(BIN)/.tests
	$(BIN)/pytest -q -n logical -m "not slow" tests/unit tests/property tests/screens

check: format lint types imports test

format: $(BIN)/.tests
	$(BIN)/ruff format --check .

lint: $(BIN)/.tests
	$(BIN)/ruff check .

types: $(BIN)/.tests
	$(BIN)/mypy

imports: $(BIN)/.tests
	$(BIN)/lint-imports

screenshots: $(BIN)/.tests
	$(BIN)/python -m benchmarks.screenshots

benchmarks: $(BIN)/.tests
	$(BIN)/python -m benchmarks $(ARGS)

# uv where there is one, else venv and pip; Debian ships Python without the part that makes a venv.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tidegate needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1). Set PYTHON=python3.11"; exit 1; }
	@if command -v uv >/dev/null 2>&1; then uv venv -q --python $(PYTHON) $(VENV); \
	elif $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	else echo "Python has no ensurepip here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; fi

define install
	@echo "Installing tidegate$(2) into $(VENV) ..."
	@{ if command -v uv >/dev/null 2>&1; then uv pip install -q --python $(BIN)/python -e '$(1)'; \
	else $(BIN)/python -m pip install -q --disable-pip-version-check -e '$(1)'; fi; } || \
	  { echo "tidegate's packages could not be installed: the lines above say why. Is a package index in reach?"; exit 1; }
endef

$(BIN)/.runs: $(BIN)/python pyproject.toml
	$(call install,.)
	@touch $@

$(BIN)/.tests: $(BIN)/python pyproject.toml
	$(call install,.[dev], and its test tools)
	@touch $@ $(BIN)/.runs

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache
