# `make demo` and `make test` set up .venv by themselves on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# On a machine with a GPU: make demo CONSTRAINTS=
CONSTRAINTS ?= -c constraints-cpu.txt
export OMP_NUM_THREADS ?= 1
# Test processes at a time, each with one thread.
WORKERS ?= 2
# The tests of a file stay on one worker: they share what is costly, in time and in memory.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.PHONY: demo test test-slow test-random lint docs clean

demo: $(VENV)/.runtime
	$(BIN)/equipoise demo

test: $(VENV)/.dev
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.dev
	$(PYTEST) -m slow

# Tests draw the same random numbers each time, test-random draws others: make test-random SEED=5
ifndef SEED
test-random: SEED := $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')
endif
test-random: $(VENV)/.dev
	@echo "Random seed $(SEED); to repeat this run: make test-random SEED=$(SEED)"
	$(PYTEST) -m "not slow" --seed $(SEED) --hypothesis-seed $(SEED) \
		|| { echo "Failed with random seed $(SEED)"; exit 1; }

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -q -W -b html docs docs/_build/html

clean:
	rm -rf $(VENV) docs/_build docs/generated .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Equipoise needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints-cpu.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) -e .
	touch $@

$(VENV)/.dev: pyproject.toml constraints-cpu.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) -e ".[dev]"
	touch $@ $(VENV)/.runtime
