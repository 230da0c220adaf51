# Everything is installed into .venv and var/; `make peers` alone touches the system.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= etc/proxy.ini

.DEFAULT_GOAL := help
.PHONY: help run test lint type mutants bench soak profile peers docs clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.made: tools/bootstrap_venv.py
	$(PYTHON) tools/bootstrap_venv.py $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[lint]'
	@touch $@

run: $(VENV)/.run ## run the appliance with CONFIG=etc/proxy.ini
	@mkdir -p var
	$(BIN)/twistd --pidfile var/proxy.pid -n proxy --config $(CONFIG)

test: $(VENV)/.test ## run the whole suite; the last line counts passed, failed and skipped
	$(BIN)/python -Wd tests/run.py

lint: $(VENV)/.lint ## ruff
	$(BIN)/ruff check .

type: $(VENV)/.lint ## mypy --strict
	$(BIN)/mypy

mutants: $(VENV)/.test ## how many mutants of the decision code the unit tests kill (MUTANTS="--room http/framing --seed 9" for a part)
	$(BIN)/python -m tools.mutants $(MUTANTS)

bench: $(VENV)/.bench ## side by side with its peers (BENCH="--quick --rows messages --proxies haproxy,netappliance" for a part)
	$(BIN)/python -m benchmarks $(BENCH)

soak: $(VENV)/.test ## long proofs: big transfers, many connections (SOAK="--only http --gib 2" for a part)
	$(BIN)/python -m benchmarks --soak $(SOAK)

profile: $(VENV)/.test ## where the HTTP proxy spends its time under the benchmark's load (py-spy, perf, strace)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check py-spy
	$(BIN)/python -m benchmarks.profile_http

peers: $(VENV)/.made ## install the programs that integration tests and benchmarks run against (Debian or Ubuntu, root)
	sh tools/install_peers.sh $(BIN)/python

docs: $(VENV)/.run ## write docs/configuration.md from the schemas
	$(BIN)/python -m netappliance.config.document > docs/configuration.md

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name dropin.cache -delete
