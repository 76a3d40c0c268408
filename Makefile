# Everything happens in a virtual environment in .venv; nothing else is needed than make and Python 3.11.
# Each command installs just what it needs, from the pinned files in requirements/, the first time it runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench docs requirements clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

setup: $(VENV)/.stamp-runtime ## Install crossmargin into .venv (then: .venv/bin/crossmargin --help)

demo: $(VENV)/.stamp-runtime ## Margin a sample portfolio and show what comes out
	$(BIN)/crossmargin demo

test: $(VENV)/.stamp-test ## Run the tests
	$(BIN)/python -m pytest -n 2 -q

check: $(VENV)/.stamp-check ## Run all that CI runs: format, lint, types, imports, docs, tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@$(MAKE) --no-print-directory docs
	@$(MAKE) --no-print-directory test

bench: $(VENV)/.stamp-bench ## Run the benchmarks against their budgets (one of them: make bench ONLY=name)
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

docs: $(VENV)/.stamp-check ## Build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

# The smaller set constrains the larger, so that a package has one version in all of them.
# Pins stay where they are while they satisfy pyproject.toml; UPGRADE=1 moves them.
UV_COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

requirements: $(VENV)/.stamp-check ## Compile requirements/*.txt from pyproject.toml (newer versions: UPGRADE=1)
	$(UV_COMPILE) --group build -o requirements/runtime.txt
	$(UV_COMPILE) --extra cluster --extra research --group test -c requirements/runtime.txt -o requirements/test.txt
	$(UV_COMPILE) --extra cluster --extra research --group check -c requirements/test.txt -o requirements/check.txt
	$(UV_COMPILE) --extra cluster --extra research --group bench -c requirements/check.txt -o requirements/bench.txt

clean: ## Remove the environment and everything that was built
	rm -rf $(VENV) dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# One stamp for each set of packages; it is renewed when the pins or the project's metadata change.
$(VENV)/.stamp-%: requirements/%.txt pyproject.toml | $(BIN)/python
	@echo "Installing requirements/$*.txt into $(VENV)"
	@$(PIP) install --require-hashes -r $<
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "crossmargin needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
