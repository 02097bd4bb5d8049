# Every target makes .venv first if it is missing or older than what it is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The tests start Python hundreds of times, and each start would compile the whole package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: table1 test test-slow reproduce-tiny examples soak check clean

table1: $(READY)
	$(BIN)/descent reproduce table1

test: check
	$(BIN)/python -m pytest -n 2

test-slow: $(READY)
	$(BIN)/python -m pytest -n 2 -m slow

# Every file of examples/ as a user runs it, and the package as a user installs it.
examples: $(READY)
	$(BIN)/python -m pytest -n 2 -m "slow or not slow" tests/examples

# Every experiment, table and figure of the paper at the smallest scale, in a folder of its own.
reproduce-tiny: $(READY)
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(BIN)/descent reproduce all --scale tiny --store "$$folder/store" --out "$$folder/results"

# Faults at every call that changes a file, and sweeps under attack; SOAK_SEED=… repeats a schedule.
soak: $(READY)
	$(BIN)/python -m pytest -n 2 -m soak -rA tests

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

# The site, into site/; a warning is an error. Then every block of code in the documents is run.
.PHONY: docs
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python -m pytest -n 2 -m 'slow or not slow' tests/documents tests/web/test_built_site.py

clean:
	rm -rf $(VENV) site

# torch comes first and pinned: a range alone would fetch another, larger build.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "descentlab needs Python 3.11 or newer; name one with make PYTHON=python3.11")'
	@echo "Installing into $(VENV): a minute or two the first time, nothing after that."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==2.13.0 --constraint constraints.txt
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	touch $(READY)
