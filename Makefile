# `make demo` and `make test` are all that a fresh machine needs; both make .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MINUTES ?= 8

.PHONY: demo test check lint slow docs clean

demo: $(INSTALLED)
	$(BIN)/hippopt_demo --minutes $(MINUTES)

# two to four files of tests at a time, on as many cores; plain `pytest` runs them one after the other
test: $(INSTALLED)
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

slow: $(INSTALLED)
	$(BIN)/pytest -m "slow or gpu"

# pages made from the code: docs/tree.md, docs/faults.md
docs: $(INSTALLED)
	$(BIN)/python docs/generate.py

# torch first and pinned: asked for without its version, an index may hand out a build of several gigabytes
# compat: a path in a .pth file; by default a folder called hippopt in the current folder, as a clone is, hides the package
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt --config-settings editable_mode=compat -e '.[dev]'
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) demo_workspace build dist *.egg-info
