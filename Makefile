# Everything is installed into .venv and var/; `make peers` alone touches the system.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= etc/proxy.ini
# editable installs run from the sources; `make compiled` puts extension modules beside these
export NETAPPLIANCE_COMPILED ?= 0

.DEFAULT_GOAL := help
.PHONY: help run test compiled pure test-compiled compiled-tree current lint type mutants bench figures soak profile peers docs clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

$(VENV)/.compile: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[compile]'
	@touch $@

# compiled modules that are older than their sources would run in their place
current: $(VENV)/.run
	@$(BIN)/python -m netappliance.process.build || { echo "make compiled, or make pure"; exit 1; }

run: $(VENV)/.run current ## run the appliance with CONFIG=etc/proxy.ini
	@mkdir -p var
	@$(BIN)/python -m netappliance local-certificate var/tls
	$(BIN)/twistd --pidfile var/proxy.pid -n proxy --config $(CONFIG)

test: $(VENV)/.test current ## run the whole suite; the last line counts passed, failed and skipped
	$(BIN)/python -Wd tests/run.py

compiled: $(VENV)/.compile ## compile the data plane beside its sources, for run, test and bench
	NETAPPLIANCE_COMPILED=1 $(BIN)/python setup.py --quiet build_ext --inplace
	@$(BIN)/python -m netappliance.process.build

pure: ## remove what `make compiled` made
	find netappliance -name '*.so' -delete
	rm -f netappliance__mypyc*.so netappliance/build.json

compiled-tree: $(VENV)/.compile ## keep a compiled build in .compiled/, run by .venv-compiled/bin/python
	$(BIN)/python -m tools.compiled_tree

test-compiled: compiled-tree ## run the suite on the compiled build (TESTS="tests.integration" for a part)
	cd .compiled && ../.venv-compiled/bin/python -Wd tests/run.py $(TESTS)

lint: $(VENV)/.lint ## ruff
	$(BIN)/ruff check .

type: $(VENV)/.lint ## mypy --strict
	$(BIN)/mypy

mutants: $(VENV)/.test ## how many mutants of the decision code the unit tests kill (MUTANTS="--room http/framing --seed 9" for a part)
	$(BIN)/python -m tools.mutants $(MUTANTS)

bench: $(VENV)/.bench $(VENV)/.compile ## both builds side by side with their peers (BENCH="--quick --rows messages --proxies haproxy,netappliance" for a part)
	$(BIN)/python -m benchmarks $(BENCH)

figures: $(VENV)/.run ## write README.md's figures from RUN=benchmarks/results/... (without: from those that are kept)
	$(BIN)/python -m benchmarks.figures $(RUN)

soak: $(VENV)/.test ## long proofs: big transfers, backends that die and certificates that change under load (SOAK="--only http --gib 2" for a part)
	$(BIN)/python -m benchmarks --soak $(SOAK)

profile: $(VENV)/.test ## where the HTTP proxy spends its time under the benchmark's load (py-spy, perf, strace)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check py-spy
	$(BIN)/python -m benchmarks.profile_http

peers: $(VENV)/.made ## install the programs that integration tests and benchmarks run against (Debian or Ubuntu, root; PEERS=sozu builds that too)
	sh tools/install_peers.sh $(BIN)/python $(PEERS)

docs: $(VENV)/.run ## write docs/configuration.md from the schemas
	$(BIN)/python -m netappliance.config.document > docs/configuration.md

clean: pure ## remove what the other targets made
	rm -rf $(VENV) .venv-compiled .venv-sslyze .compiled build dist *.egg-info _trial_temp* .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name dropin.cache -delete
