# Everything a developer or CI does. Needs python3 >= 3.11 with pip, and make; nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
UV_VERSION := 0.13.9
AUDIT_VERSION := 2.10.1
BIN := .venv/bin
SOURCES := $(shell git ls-files -co --exclude-standard app storage sync 2>/dev/null)
# Byte code makes every start faster; some shells forbid writing it.
unexport PYTHONDONTWRITEBYTECODE
# The commands that make a virtual environment, where ensurepip may be missing (Debian without python3-venv).
define make_env
	@$(PYTHON) packaging/check_python.py
	@rm -rf $(1)
	@$(PYTHON) -m venv --without-pip $(1)
	@echo "installing $(2) into $(1)"
	@$(PYTHON) -m pip --python $(1)/bin/python install --quiet --disable-pip-version-check --require-hashes \
	  --report $(1)/report.json -r $(2)
	@touch $(1)/.made
endef

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9_-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: env
env: .venv/.made ## Make the development environment in .venv
.venv/.made: requirements/dev.lock
	$(call make_env,.venv,requirements/dev.lock)
.venv-build/report.json: requirements/build.lock
	$(call make_env,.venv-build,requirements/build.lock)

.PHONY: build
build: dist/spoke ## Build the executable, dist/spoke
BUILDERS := $(addprefix packaging/,spoke.spec build.sh check_host.sh check_glibc.py build_info.py pack.py launcher/compile.sh launcher/launcher.c)
dist/spoke: .venv-build/report.json $(BUILDERS) pyproject.toml $(SOURCES)
	@packaging/check_host.sh .venv-build/bin/python
	@packaging/build.sh

dist/spoke-next: dist/spoke tests/packaging/next_release.sh # the release after it, for tests of upgrades
	@tests/packaging/next_release.sh

.PHONY: deb
deb: dist/spoke ## Make a Debian package of it
	@packaging/deb.sh

.PHONY: release
release: dist/spoke ## Everything that is published, signed, in dist/release: make release KEY=private.pem
	@SPOKE_RELEASE_KEY="$(or $(KEY),$(SPOKE_RELEASE_KEY))" packaging/release.sh

.PHONY: rootfs-test
rootfs-test: deb ## Run it in bare Debian 12 and 13 without Python (as root; debootstrap fetches them once)
	@tests/packaging/rootfs.sh bookworm trixie

.PHONY: booted-test
booted-test: dist/spoke-next deb ## Services under systemd as process 1, Debian 12 and 13: docs/systemd-log.txt (as root)
	@tests/packaging/booted.sh bookworm trixie > dist/systemd-log.txt
	@mv dist/systemd-log.txt docs/systemd-log.txt

.PHONY: install-log
install-log: dist/spoke-next ## Install, join, upgrade, go back, uninstall in a bare Debian: docs/install-log.txt (as root)
	@tests/packaging/install.sh trixie > dist/install-log.txt
	@mv dist/install-log.txt docs/install-log.txt

.PHONY: demo
demo: dist/spoke ## Build it and watch it work: offline, sync, SIGKILL, resume, compare
	@dist/spoke demo

.PHONY: test
test: .venv/.made ## Run the tests (without those of the built executable)
	@$(BIN)/python -m pytest -n 4 --dist worksteal -m "not e2e"

.PHONY: e2e
e2e: .venv/.made dist/spoke dist/spoke-next ## Drive the built executable in a terminal
	@SPOKE_BINARY="$(CURDIR)/dist/spoke" $(BIN)/python -m pytest -m e2e tests/e2e

.PHONY: check
check: .venv/.made ## Format, lint, types, floors
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: format
format: .venv/.made ## Format the code and mend what can be mended
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

.PHONY: sim
sim: .venv/.made ## Simulate the link: make sim SEEDS=100000
	@SPOKE_SIM_SEEDS=$(or $(SEEDS),20000) $(BIN)/python -m pytest -q tests/sim

.PHONY: soak
soak: .venv/.made ## Kill, stop and freeze real processes for SECONDS, then compare (FAULTS_ROUNDS=20: longer fault tests)
	@$(BIN)/python -m tests.faults.soak $(or $(SECONDS),60)

.PHONY: screens
screens: .venv/.made dist/spoke ## Capture the terminal UI into docs/screens, as text and as pictures
	@SPOKE_BINARY="$(CURDIR)/dist/spoke" $(BIN)/python -m tests.e2e.capture

.PHONY: pages
pages: .venv/.made ## Make the pages that are made from the code anew: commands, configuration, metrics, errors, tables
	@$(BIN)/python -m app man --markdown > docs/cli.md
	@$(BIN)/python -m app man --json-page > docs/cli-json.md
	@SPOKE_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q -n 0 tests/app/config/test_reference.py tests/app/services/test_prometheus.py
	@$(BIN)/python -m tests.made_pages

.PHONY: audit
audit: ## Look up known holes of what is pinned (needs the network)
	@$(PYTHON) -m venv --without-pip build/audit
	@$(PYTHON) -m pip --python build/audit/bin/python install --quiet --disable-pip-version-check pip-audit==$(AUDIT_VERSION)
	@build/audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/runtime.lock

.PHONY: bench
bench: .venv/.made ## Measure the engine and the link against their floors
	@for script in benchmarks/*.py; do echo "== $$script"; PYTHONPATH=. $(BIN)/python "$$script"; done

.PHONY: lock
lock: .venv/.made ## Pin dependencies anew (requirements/*.lock)
	@$(PYTHON) -m pip --python $(BIN)/python install --quiet uv==$(UV_VERSION)
	@for set in "runtime" "dev --group dev" "build --group build"; do \
	  read -r name group <<< "$$set"; \
	  UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header \
	    --no-annotate --generate-hashes pyproject.toml $$group -o requirements/$$name.lock; \
	done

.PHONY: clean
clean: ## Remove what was built; environments stay
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
