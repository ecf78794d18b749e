# The one way to set up, run and test BabbleFish. Every target brings what it needs and skips what is already there.

VENV ?= .venv
# The first Python that the pinned packages work with; looked for only when the virtual environment is made.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c $(SUPPORTED) 2>/dev/null && echo $$python && break; done)
# Further arguments for what a target starts, e.g. make bench ARGS="latency page"
ARGS ?=

SUPPORTED := 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
# One lock for every platform and every Python that pyproject.toml allows.
LOCK := $(VENV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --custom-compile-command 'make lock'
# Node.js for the page's checks, pinned like every other tool; whatever the machine has may be too old.
NPM := PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/npm --silent

.DEFAULT_GOAL := help
# A virtual environment that was only half made must not pass for one.
.DELETE_ON_ERROR:
.PHONY: help run demo light open full test check bench dist lock clean weights
.PHONY: debian debian-light debian-test debian-bench

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: debian $(VENV)/.server weights ## Start the server; sets everything up the first time
	exec $(VENV)/bin/python server_cpu.py $(ARGS)

demo: debian $(VENV)/.server weights ## Show a conversation between several languages
	$(VENV)/bin/babblefish demo $(ARGS)

light: debian debian-light $(VENV)/.server ## Install the light profile, for machines with less than 4 GB of memory
	$(VENV)/bin/babblefish models pull --profile light

open: debian $(VENV)/.server ## Install the open profile: a larger Whisper, EuroLLM with Polish (1.5 GB)
	$(VENV)/bin/babblefish models pull --profile open
	@echo 'To serve it: make run ARGS="--profile open"'

full: debian $(VENV)/.full ## Install the full profile: SeamlessM4T, pyannote, Kokoro (20 GB)
	$(VENV)/bin/babblefish models pull --profile full

test: debian debian-light debian-test $(VENV)/.dev node_modules/.ready weights ## Run every test, the fast ones first
	$(NPM) test
	$(VENV)/bin/python -m pytest -m "not slow" -n logical --dist loadfile $(ARGS)
	$(VENV)/bin/python -m pytest -m slow -n logical --dist loadfile $(ARGS)

check: $(VENV)/.dev node_modules/.ready ## Check style, types and layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache >/dev/null || $(VENV)/bin/lint-imports --no-cache
	$(NPM) run check

bench: debian debian-light debian-bench $(VENV)/.dev weights ## Measure speed and quality
	$(VENV)/bin/python -m benchmarks.run $(ARGS)

dist: $(VENV)/.dev ## Build the wheel and the source distribution into dist/
	$(VENV)/bin/python -m build --no-isolation

lock: $(VENV)/.dev ## Bring the locks in line with pyproject.toml; ARGS=--upgrade takes newer versions
	$(LOCK) --all-extras --output-file requirements_dev.txt $(ARGS)
	$(LOCK) --constraint requirements_dev.txt --extra embedded --extra legacy --output-file requirements_server.txt $(ARGS)
	$(LOCK) --constraint requirements_dev.txt --extra embedded --extra legacy --extra cascade --extra full \
		--output-file requirements_full.txt $(ARGS)

clean: ## Remove the virtual environment and caches; the weights stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build node_modules *.egg-info
	find babblefish benchmarks legacy tests -name __pycache__ -prune -exec rm -rf {} +

debian:
	@deploy/install_debian.sh run

debian-light:
	@deploy/install_debian.sh light

debian-test:
	@deploy/install_debian.sh test

debian-bench:
	@deploy/install_debian.sh bench

weights: $(VENV)/.server
	@$(VENV)/bin/babblefish models pull

$(VENV)/bin/python:
	@python="$(PYTHON)"; \
	if ! "$${python:-false}" -c $(SUPPORTED); then \
		echo "BabbleFish needs Python 3.11, 3.12 or 3.13, found: $${python:-neither}. Name one with: make PYTHON=..." >&2; exit 1; \
	fi; \
	"$$python" -c 'import ensurepip' 2>/dev/null || deploy/install_debian.sh python; \
	echo "Making the virtual environment $(VENV) with $$python"; \
	"$$python" -m venv $(VENV)

# The locks name every package with its version and its hashes; the project itself is installed without looking further.
$(VENV)/.server: pyproject.toml requirements_server.txt | $(VENV)/bin/python
	@echo "Installing the server's packages (about 650 MB)"
	$(PIP) --require-hashes --requirement requirements_server.txt
	$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.full: $(VENV)/.server requirements_full.txt
	@echo "Installing the packages of the profiles full and cascade (about 8 GB)"
	$(PIP) --require-hashes --requirement requirements_full.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.server requirements_dev.txt
	@echo "Installing the tools for tests and checks, and the packages of all profiles (about 8 GB)"
	$(PIP) --require-hashes --requirement requirements_dev.txt
	@touch $@

node_modules/.ready: package.json package-lock.json $(VENV)/.dev
	@echo "Installing the tools that check the page (50 MB)"
	$(NPM) ci
	@touch $@
