# Two commands: `make demo` and `make test`. Both set everything up in .venv first.

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell command -v $(name))))

# Where this variable is set, each start of a program compiles Snakemake, torch and the rest again;
# a run of the tests starts hundreds of programs.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test coverage mutants cluster lint docs schema benchmark lock setup clean

demo: setup
	$(BIN)/avca run

# Three at a time on two cores: many tests wait for other programs.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal --durations=25 --durations-min=10

# Which branches the quick tests take. For reading: nothing is required of the figure.
coverage: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" \
	  --cov=avca_pipeline --cov-branch --cov-report=term-missing:skip-covered

# Which small mistakes in the code the tests would not notice; MODULE=accuracy for one module.
mutants: setup
	$(BIN)/python -m tests.mutants $(MODULE)

# What tests/cluster needs beside Slurm itself. Not in .venv proper: every start of Snakemake
# imports every plugin that it finds.
cluster: $(VENV)/cluster/.complete

$(VENV)/cluster/.complete: $(VENV)/.complete tests/cluster/requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(VENV)/cluster --require-hashes \
	  -r tests/cluster/requirements.lock
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakemake --lint

# The documentation site, in site/; a link that leads nowhere is an error.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

setup: $(VENV)/.complete

$(VENV)/.complete: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	  { echo "avca: error: Python 3.11 or 3.12 is needed; name it with PYTHON=/path/to/python3.11"; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "avca: error: Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

benchmark: setup
	$(BIN)/python -m tests.benchmarks.extraction
	$(BIN)/python -m tests.benchmarks.training
	$(BIN)/python -m tests.benchmarks.scale

# After a change of the dependencies in pyproject.toml.
# What editors know of a config.
schema: setup
	$(BIN)/avca schema --out workflow/schemas/config.schema.json

lock: setup
	$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	  --generate-hashes --upgrade --constraint envs/container.in \
	  --extra dev --custom-compile-command "make lock" pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --constraint requirements.lock \
	  --generate-hashes --upgrade --custom-compile-command "make lock" \
	  tests/cluster/requirements.in --output-file tests/cluster/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --constraint requirements.lock \
	  --generate-hashes --upgrade --custom-compile-command "make lock" \
	  envs/container.in --output-file envs/container.lock
	$(BIN)/python envs/update.py

clean:
	rm -rf $(VENV) results site .snakemake .mutants
