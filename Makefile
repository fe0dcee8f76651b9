# Two commands: `make demo` and `make test`. Both need Python 3.11 or newer and nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench clean

demo: .venv/ready
	$(BIN)/subterfuge demo

test: .venv/ready-test lint
	$(BIN)/python -m pytest -n 2

lint: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv .venv

.venv/ready: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -e . -c constraints.txt
	@touch $@

.venv/ready-test: .venv/ready
	$(BIN)/python -m pip install -q -e '.[test,orchestra]' -c constraints.txt
	@touch $@

# An environment of its own for the comparisons: the libraries there must never touch the main one.
bench: .venv-bench/ready
	@echo "ready: .venv-bench/bin/python benchmarks/whitebox.py SEED_FOLDER (docs/benchmarks/README.md has them all)"

.venv-bench/ready: pyproject.toml constraints.txt benchmarks/constraints-peers.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install -q -e . -c constraints.txt
	.venv-bench/bin/python -m pip install -q --no-deps -r benchmarks/constraints-peers.txt
	@touch $@

clean:
	rm -rf .venv .venv-bench build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
