# `make` lists what there is to do. Every target sets up what it needs, in .venv.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# The first Python of at least 3.11 that can make virtual environments. Apache's user must be able to read it, so the
# system's own comes first.
PYTHON ?= $(shell for p in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.txt
# Processes that test at the same time: half of what they do is to wait, for servers, browsers and time to pass.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN) && echo $$((n < 8 ? n + 1 : 8)))

.PHONY: help run test check lint train bench scale fuzz lock audit sbom clean
help:
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: .venv/serve ## serve the shipped model at http://HOST:PORT (127.0.0.1:8000) until Ctrl-C
	@deploy/run

test: .venv/all apache chromium promtool valgrind ## set up everything, then run every test and the linters
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=10
	$(MAKE) --no-print-directory lint

check: .venv/all ## the tests that start no process and train nothing
	$(BIN)/python -m pytest -m "not train and not process" --durations=10

lint: .venv/all ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

train: .venv/all ## train the shipped network, or NETWORK=detector; DATA=folder with MNIST; after a kill it goes on
	$(BIN)/python train_mnist.py $(if $(DATA),--data $(DATA)) $(if $(NETWORK),--network $(NETWORK))

bench: .venv/all apache ## measure what docs/figures.md reports (minutes)
	$(BIN)/python -m benchmarks

scale: .venv/all ## measure what docs/scaling.md reports (under 15 minutes); DATA=folder with MNIST
	timeout 600 $(BIN)/python -m benchmarks score $(if $(DATA),--data $(DATA))
	timeout 60 $(BIN)/python -m benchmarks scaling
	@if [ -f benchmarks/instances.py ]; then timeout 240 $(BIN)/python -m benchmarks instances; \
		else echo "Several instances are not measured: this checkout has no benchmarks/instances.py."; fi

fuzz: .venv/all ## throw made-up input at each way in, MINUTES=1 each
	nice -n 19 $(BIN)/python -m benchmarks fuzz --minutes $(or $(MINUTES),1)

lock: .venv/all ## pin what serving needs with the hashes of its files: deploy/requirements-serve.txt (minutes)
	$(BIN)/python deploy/lock

audit: .venv/tools/done ## is a version that serving pins known to be vulnerable?
	.venv/tools/bin/python deploy/audit

sbom: .venv/tools/done ## list what serving is made of, in CycloneDX's form: sbom.json
	.venv/tools/bin/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml -o sbom.json \
		deploy/requirements-serve.txt

clean: ## remove the virtual environment and all caches; models and instance stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv is needed: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv

# Each file is held against its hash on Linux; elsewhere, where nobody deploys, no hashes are pinned.
.venv/serve: .venv/bin/python pyproject.toml deploy/requirements-serve.txt
	@echo "Installing what serving needs into .venv ..."
	@if [ "$$(uname -s)" = Linux ]; then $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: -r deploy/requirements-serve.txt && $(PIP) --no-deps --editable .; else $(PIP) --editable .; fi
	@touch $@

.venv/tools/done: .venv/bin/python deploy/requirements-tools.txt
	$(PYTHON) -m venv .venv/tools
	.venv/tools/bin/pip install --quiet --disable-pip-version-check -r deploy/requirements-tools.txt
	@touch $@

.venv/all: .venv/bin/python pyproject.toml requirements.txt
	@echo "Installing what serving, training and testing need into .venv (about 2 GB, TensorFlow most of it) ..."
	$(PIP) --editable '.[train,test]'
	@touch $@ .venv/serve

# Apache for the tests that start one: its program and headers alone, which start no service. Root can install them; for
# others those tests skip, and say so.
.PHONY: apache
apache: .venv/bin/python
	@command -v apxs >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		echo "Installing apache2-bin, apache2-dev and apache2-utils with apt-get, for the tests under Apache ..." && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends apache2-bin apache2-dev apache2-utils python3-dev gcc >/dev/null; } || \
		echo "No apxs, and no root to install it: the tests under Apache will skip."
	@! command -v apxs >/dev/null || $(BIN)/python -c 'import mod_wsgi' 2>/dev/null || { \
		echo "Building mod_wsgi ..."; $(BIN)/pip install --quiet --disable-pip-version-check --no-cache-dir -r deploy/requirements.txt; }

# Chromium for the tests of the pages.
.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		echo "Installing chromium with apt-get, for the tests of the pages ..." && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		echo "No chromium, and no root to install it: the tests of the pages will skip."

# promtool, for the tests of the alerts: that program alone out of Debian's package (19 MB), of which nothing is installed.
.PHONY: promtool
promtool: .venv/bin/python
	@command -v promtool >/dev/null || [ -x $(BIN)/promtool ] || { echo "Fetching promtool, for the tests of the alerts ..." && \
		rm -rf .venv/prometheus && mkdir .venv/prometheus && cd .venv/prometheus && \
		{ apt-get download -qq prometheus 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get download -qq prometheus; }; } && \
		dpkg-deb --extract prometheus_*.deb . && mv usr/bin/promtool ../bin/ && cd .. && rm -r prometheus; } || \
		echo "No promtool could be had: the tests of the alerts will skip."

# Valgrind counts instructions for one test.
.PHONY: valgrind
valgrind:
	@command -v valgrind >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		echo "Installing valgrind with apt-get, for the count of instructions ..." && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends valgrind >/dev/null; } || \
		echo "No valgrind, and no root to install it: the count of instructions will skip."
