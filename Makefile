# Everything runs in .venv in this folder. Another Python: make PYTHON=python3.12 <target>
PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check --quiet
PYTEST := -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-extras test-lowest fmt fmt-check lint type arch bench wheel-check ci clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(VENV)/.setup: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("midground needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV)"
	@$(BIN)/python $(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.setup-extras: $(VENV)/.setup
	@echo "Adding the extras train and matchers to $(VENV)"
	@$(BIN)/python $(PIP) install -c constraints.txt -e '.[dev,train,matchers]'
	@touch $@

$(LOWEST)/.setup: pyproject.toml constraints.txt scripts/lowest.py $(VENV)/.setup
	@rm -rf $(LOWEST)
	@$(PYTHON) -m venv $(LOWEST)
	@$(BIN)/python scripts/lowest.py > $(LOWEST)/lowest.txt
	@echo "Setting up $(LOWEST) with the lower bounds of pyproject.toml"
	@grep -E '^(beartype|hypothesis|pytest|pytest-timeout)==' constraints.txt > $(LOWEST)/tools.txt
	@$(LOWEST)/bin/python $(PIP) install -r $(LOWEST)/lowest.txt -r $(LOWEST)/tools.txt -e .
	@touch $@

setup: $(VENV)/.setup ## Create .venv with midground and its tools

demo: setup ## Simulate two images that do not line up, and register them
	@$(BIN)/midground simulate --out-dir demo --seed 7
	@$(BIN)/midground register demo/optical.tif demo/sar.tif --out-dir demo/result --truth demo/truth.json

test: setup ## Run the tests, a file at a time in each of two processes
	@$(BIN)/python $(PYTEST) -n 2 --dist loadfile

test-extras: $(VENV)/.setup-extras ## Run the tests that need the extras train and matchers
	@$(BIN)/python $(PYTEST) -m extras

test-lowest: $(LOWEST)/.setup ## Run the tests with the lowest versions that pyproject.toml allows
	@$(LOWEST)/bin/python $(PYTEST) -m 'not extras and not browser' -p no:cacheprovider

fmt: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

fmt-check: setup
	@$(BIN)/ruff format --check .

lint: setup ## Look for mistakes
	@$(BIN)/ruff check .

type: setup ## Check the types
	@$(BIN)/mypy

arch: setup ## Check which module imports which
	@$(BIN)/lint-imports

bench: setup ## Measure time and memory, and what register finds of known shifts
	@for name in scene_speed peers_shift known_shift; do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

wheel-check: setup ## Build the wheel and try it in an empty environment
	@$(BIN)/python scripts/check_wheel.py

ci: fmt-check lint type arch test ## What has to hold before a change goes in

clean: ## Remove the environments and everything that was made
	rm -rf .venv .venv-lowest build demo dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
