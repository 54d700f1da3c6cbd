# `make demo` and `make test` set up all that they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests of one file run one after the other, files side by side: each process has services of its own.
WORKERS ?= 2
# `make test` always tries the same examples, so that it does not fail by luck; `make fuzz` looks for new ones.
TIMES ?= 20
SEED ?= 1
IMAGE ?= snakemake-azbatch:$(shell $(BIN)/python -c 'import snakemake; print(snakemake.__version__.replace("+", "-"))' 2>/dev/null)

.PHONY: help demo test test-runs test-workflows fuzz test-docker lint bench campaign campaign-short image upgrade-check clean
.DELETE_ON_ERROR:

help:
	@echo "make demo           run the example workflow on the local Batch emulator"
	@echo "make test           run the tests (those that need a Docker engine, FUSE or Chromium are skipped where there is none)"
	@echo "make test-runs      whole runs of the command line, with all that may go wrong in one"
	@echo "make test-workflows run a workflow of each of Snakemake's features, with local files, in blob storage and on Batch"
	@echo "make fuzz           run the tests that try examples with TIMES=20 times as many, other ones each time"
	@echo "make test-docker    run the tests that need a Docker engine; start one first, see misc/docker/README.md"
	@echo "make lint           ruff and mypy"
	@echo "make bench          measure, as ratios against stock Snakemake"
	@echo "make campaign       hours of whole runs on bad days: faults, outages, deaths (make campaign-short: minutes)"
	@echo "make image          build the container image for the tasks"
	@echo "make upgrade-check VERSION=x.y.z   say what does not fit that release of upstream"

# With LOCKED set, as in CI, everything is what the lock files say, each held against its hash (misc/locks/update).
# The stamp's date says whether the environment is younger than what it is made from.
$(VENV)/.stamp: pyproject.toml setup.py $(wildcard misc/edits/*.toml) examples/variants/requirements.txt misc/setup/azurite misc/locks/package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=... to one ($(PYTHON) is older)."; exit 1; }
	@test -x $(BIN)/python || { echo "Making the virtual environment $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@echo "Building the patched Snakemake from this tree and installing it with its requirements ..."
ifdef LOCKED
	@# An earlier build of ours counts as the release that it is built from, and would be left in its place.
	@$(BIN)/python -m pip uninstall --quiet --yes snakemake 2>/dev/null
	@# The file has all that anything in it needs; where that is a package with an extra, pip would not find it.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r misc/locks/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[emulator,test,lint]' -r examples/variants/requirements.txt
endif
	@echo "Installing Azurite, the Blob Storage emulator ..."
	@misc/setup/azurite $(VENV)
	@touch $@

demo: $(VENV)/.stamp
	@$(BIN)/python misc/demo.py

test: $(VENV)/.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart 1 $(or $(TESTS),--ignore=tests/workflows --ignore=tests/executor)

test-runs: $(VENV)/.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart 1 tests/executor

test-workflows: $(VENV)/.stamp
	$(BIN)/python -m pytest -n 0 -m "every_workflow or not every_workflow" tests/workflows

fuzz: $(VENV)/.stamp
	AZBATCH_FUZZ=$(TIMES) $(BIN)/python -m pytest -n $(WORKERS) -m hypothesis --timeout=0 $(TESTS)

test-docker: $(VENV)/.stamp
	AZBATCH_REQUIRE_DOCKER=1 $(BIN)/python -m pytest -m docker

lint: $(VENV)/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.stamp
	@$(BIN)/python -m misc.bench

campaign: $(VENV)/.stamp
	@$(BIN)/python -m misc.campaign --seed $(SEED)

campaign-short: $(VENV)/.stamp
	@$(BIN)/python -m misc.campaign faults outages kill term --seed $(SEED) --jobs 60 --deaths 2 --outages 2 --outage-seconds 10

image: $(VENV)/.stamp
	misc/docker/image $(IMAGE)

upgrade-check:
	@test -n "$(VERSION)" || { echo "Give the upstream release to check: make upgrade-check VERSION=x.y.z"; exit 1; }
	$(PYTHON) misc/upgrade $(VERSION)

clean:
	rm -rf $(VENV) build dist .demo
