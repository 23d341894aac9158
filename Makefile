SHELL := /bin/bash
ifndef PYTHON
PYTHON := $(shell command -v python3.11 || command -v python3)
endif
VENV := $(CURDIR)/.venv
INSTALLED := $(VENV)/.installed
LOCKING := --extra dev --generate-hashes --no-header --no-annotate --no-emit-index-url

export PATH := $(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(VENV)
# Byte code is compiled once, at the first import: some images forbid that, and every stage would pay for it again.
unexport PYTHONDONTWRITEBYTECODE
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := false
export GDAL_PAM_ENABLED := NO
# Threads that wait for each other sleep: spinning ones starve whatever else runs, and themselves, sixfold.
export OMP_WAIT_POLICY := passive
# numpy solves many small systems here, each of which threads only delay; torch keeps its own.
export OPENBLAS_NUM_THREADS := 1
# Two pytest workers share the cores; more threads than one in each only fight.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1

# Stages of one system leave a core idle half of the time: systems go through the pipeline side by side, one thread each. The others
# give way to the longest, else it would end alone on one core.
SYSTEMS_AT_ONCE ?= 3
LONGEST := lunar-dtm
# Each asks for its own stages alone, in the order of dvc.yaml: the data's stage, asked for twice at once, would be found busy.
SYSTEM_LOGGED = { test SYSTEM = $(LONGEST) || renice -n 3 -p $$$$ >/dev/null; }; dvc stage list --name-only | grep -E "@SYSTEM(-|$$)" | xargs dvc --wait-for-lock repro --single-item 2>&1 \
	| tee build/SYSTEM.log | { grep -E --line-buffered "^(Running stage|ERROR|orrery:)" || true; }

.DEFAULT_GOAL := help
.PHONY: help install repro report test browser lint bench ui lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## make .venv from requirements.lock; done by the others when needed

repro: $(INSTALLED) ## fetch the sample and run the whole pipeline, from scenes to a promoted model
	@test -e .git || dvc config --local core.no_scm true
	dvc pull --quiet data.dvc
	@mkdir -p build
	@dvc stage list --name-only | sed -n 's/^align@//p' | OMP_NUM_THREADS=1 xargs -P $(SYSTEMS_AT_ONCE) -I SYSTEM bash -o pipefail -c '$(SYSTEM_LOGGED)' \
		|| { echo "stopped; the whole story is in build/*.log"; exit 1; }
	dvc repro
	@echo
	@echo "tables and pictures   reports/*/tables.md"
	@echo "a page a system       make report"
	@echo "alignment verdicts    reports/gates/*.json"
	@echo "runs and models       make ui"
	@echo "your own image        .venv/bin/orrery predict lunar-dtm --help"

report: $(INSTALLED) ## write reports/<system>/report.html, one page a system; make repro comes first
	@orrery report

test: $(INSTALLED) ## run the tests that need neither minutes, a GPU nor a browser
	@$(ONE_THREAD) pytest -n 2

browser: $(INSTALLED) ## run the tests that look at dashboards and reports in Chromium
	@$(ONE_THREAD) pytest -m browser

lint: $(INSTALLED) ## check style, format and types
	ruff check .
	ruff format --check .
	mypy

bench: $(INSTALLED) ## measure against peers and limits; print a table, write reports/benchmarks.json
	@python -m benchmarks.run

ui: $(INSTALLED) ## open MLflow on this repository's runs and models
	@orrery ui

lock: $(INSTALLED) ## remake requirements.lock from the bounds in pyproject.toml
	uv pip compile pyproject.toml $(LOCKING) --output-file requirements.lock

clean: ## remove what stages and tools made; data, runs and the DVC cache stay
	rm -rf build models reports .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# uv unpacks the 6 GB of the lock in half a minute. Where it is not at hand, pip brings the locked one.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "orrery needs Python 3.11 or later: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "installing what requirements.lock names into .venv (6 GB, a minute or a few)"
	@set -euo pipefail; \
	if command -v uv >/dev/null; then \
		test -x $(VENV)/bin/python || uv venv --quiet --python $(PYTHON) $(VENV); \
	else \
		$(PYTHON) -m venv $(VENV); \
		awk '/^[a-z]/ {keep = /^uv==/} keep' requirements.lock > $(VENV)/uv.lock; \
		$(VENV)/bin/python -m pip install --quiet --require-hashes --requirement $(VENV)/uv.lock; \
	fi; \
	uv pip install --quiet --require-hashes --requirement requirements.lock; \
	uv pip install --quiet --no-deps --editable .
	@touch $@
