# Everything needed beyond Python >= 3.11 (with venv), git and make comes from requirements/dev.txt.
# Another interpreter: make PYTHON=python3.13 …

PYTHON ?= python3
VENV   ?= .venv
LOCK   ?= requirements/dev.txt
BIN     = $(VENV)/bin
LOCKED  = $(VENV)/.locked
READY   = $(VENV)/.ready
RUNG    = @printf '\n== %s ==\n'
PYTEST  = $(BIN)/pytest -q

.DEFAULT_GOAL := help
.PHONY: help setup check unit chart store faults api api-oldest cluster cluster-alone cluster-together test demo demo-cluster bench generate lock oldest clean kind-up kind-down
.NOTPARALLEL:
.DELETE_ON_ERROR:

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# --- set-up: once, and again when the lock or the project's own metadata change ----------------------------------------

setup: $(READY) ## the virtual environment .venv (every other target does this by itself)

$(READY): pyproject.toml $(LOCKED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Not compiled, which would take half of the time: Python compiles what is used, when it is used first.
$(LOCKED): $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "trainpoint needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1 | head -n 1)" >&2; \
	  echo "name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv; install it (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@echo "setting up $(VENV) from $(LOCK) (once)"
	@rm -f $(READY)
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r $(LOCK)
	@touch $@

# --- the rungs ---------------------------------------------------------------------------------------------------------

test: $(READY) ## every rung; stops at the first that fails and names it
	@$(BIN)/python tools/rungs.py

check: $(READY) ## rung: lint, format, types, generated files up to date
	$(RUNG) check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/generate.py --check
	$(BIN)/python tools/errors_reference.py --check
	$(BIN)/python tools/cli_reference.py --check
	$(BIN)/python tools/sdk_reference.py --check
	$(BIN)/python tools/charts.py --check

unit: $(READY) ## rung: no server, no network
	$(RUNG) unit
	$(PYTEST) -n 2 tests/unit

chart: $(READY) ## rung: the Helm charts, rendered and on a real API server without nodes
	$(RUNG) chart
	@$(BIN)/python tools/kind/__main__.py programs
	@$(BIN)/python tools/needs.py helm kube
	$(PYTEST) tests/chart

store: $(READY) ## rung: a real S3 server
	$(RUNG) store
	@$(BIN)/python tools/needs.py s3
	$(PYTEST) -n 3 tests/store

faults: $(READY) ## rung: kills, full disks, broken networks
	$(RUNG) faults
	@$(BIN)/python tools/needs.py s3
	$(PYTEST) -n 2 tests/faults

# --- a cluster ---------------------------------------------------------------------------------------------------------

kind-up: $(READY) ## the test cluster: three nodes, made by kind; minutes the first time, then under one
	@PYTHON=$(BIN)/python tools/kind/up

kind-down: ## remove the test cluster; what was built for it stays in the cache
	@PYTHON=$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) tools/kind/down

api: $(READY) ## rung: a real API server without nodes; the SDK's client also in its oldest version
	$(RUNG) api
	@$(BIN)/python tools/kind/__main__.py programs
	@$(BIN)/python tools/needs.py kube
	$(PYTEST) tests/api
	@$(MAKE) --no-print-directory VENV=.venv-oldest LOCK=requirements/oldest.txt api-oldest

api-oldest: $(READY)
	$(PYTEST) tests/api/test_sdk.py

cluster: $(READY) ## rung: real pods on the test cluster, which it creates and removes unless it is there
	$(RUNG) cluster
	@$(BIN)/python tools/needs.py s3
	$(PYTEST) $(TOGETHER) tests/cluster

# Its two parts, as `make test` runs them: tests that have the cluster to themselves, and the others.
TOGETHER = -n 6 --dist loadfile

cluster-alone: $(READY)
	$(RUNG) cluster-alone
	@$(BIN)/python tools/needs.py s3
	$(PYTEST) -m alone $(CLUSTER) tests/cluster

cluster-together: $(READY)
	$(RUNG) cluster-together
	@$(BIN)/python tools/needs.py s3
	$(PYTEST) -m "not alone" $(TOGETHER) $(CLUSTER) tests/cluster

# --- see it, measure it ------------------------------------------------------------------------------------------------

demo: $(READY) ## about two minutes: a training, killed several times, that ends as if nothing had happened
	@$(BIN)/python tools/demo.py

demo-cluster: $(READY) ## a job on Kubernetes that is killed with -9 and goes on (DEMO=--keep: all of it stays)
	@$(BIN)/python tools/demo_cluster.py $(DEMO)

bench: $(READY) ## figures: import time, save and load of 1 GiB, the loop of an app
	@$(BIN)/python -m benchmarks

# --- keep it -----------------------------------------------------------------------------------------------------------

generate: $(READY) ## write what is generated: types from crds/, parts of the charts, pages of the reference
	$(BIN)/python tools/generate.py
	$(BIN)/python tools/errors_reference.py
	$(BIN)/python tools/cli_reference.py
	$(BIN)/python tools/sdk_reference.py
	$(BIN)/python tools/charts.py

UV_COMPILE = uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --custom-compile-command 'make lock' --quiet $(UV)

lock: ## the requirements*.txt anew from pyproject.toml (needs uv; UV=--upgrade for newer versions)
	$(UV_COMPILE) --group dev -o requirements/dev.txt
	$(UV_COMPILE) --group oldest --resolution lowest-direct -o requirements/oldest.txt
	$(UV_COMPILE) --extra cluster -o images/trainer/requirements.txt
	$(UV_COMPILE) --extra operator -o images/operator/requirements.txt

oldest: ## the unit tests with the oldest libraries that pyproject.toml allows, in an environment of their own
	@$(MAKE) --no-print-directory VENV=.venv-oldest LOCK=requirements/oldest.txt unit

clean: ## remove .venv, caches and build results
	rm -rf $(VENV) .venv-oldest dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find sdk operator tests tools examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
