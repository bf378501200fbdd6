# make demo    install into .venv and search on a table for about a minute
# make test    install into .venv and run every check: lint, format, types, tests with coverage
# make clean   remove .venv and what the two above wrote
#
# Variables: PYTHON (3.11 to 3.13), DATA and TARGET (your own table), TIME (seconds), HOLDOUT (share of rows), JOBS (test processes).

PYTHON  ?= python3
DATA    ?= sklearn:digits
TARGET  ?=
TIME    ?= 50
HOLDOUT ?= 0.25
JOBS    ?= 2

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: demo test lint types clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	@rm -rf demo_run
	@$(BIN)/autopytorch-lite fit "$(DATA)" $(if $(TARGET),--target "$(TARGET)") --time $(TIME) --holdout $(HOLDOUT) --out demo_run

# One thread per process: the tests run side by side, in long stretches, so that few fixtures are made twice. The test line
# comes last, so that its closing line is the last one.
test: lint types
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal --cov --cov-report=term-missing:skip-covered --cov-fail-under=85

lint: $(VENV)/installed-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	@$(BIN)/mypy

clean:
	@rm -rf $(VENV) demo_run build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(VENV)/created:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"Python 3.11 to 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12")'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/created setup.cfg pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (the first time this takes a few minutes)"
	@$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(VENV)/installed-test: $(VENV)/created setup.cfg pyproject.toml constraints.txt
	@echo "Installing with the test tools into $(VENV) (the first time this takes a few minutes)"
	@$(PIP) install -q -c constraints.txt -e ".[test]"
	@touch $(VENV)/installed $@
