# Two commands do everything, set-up included: `make reproduce` and `make test`.
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
STAMP := $(VENV)/.installed
EXTRAS ?= dev
# uv installs it several times as fast, where it is there and finds everything. Most of what would be compiled nobody imports.
WANTED = --quiet -c constraints.txt $(if $(findstring peers,$(EXTRAS)),-c constraints-peers.txt) -e '.[$(EXTRAS)]'
# The bundled bars, and your own where DVC tracks them.
TRACKED := $(strip data.dvc $(wildcard data/own/bars.dvc))
SHELL := /bin/bash
export PATH := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))/bin:$(PATH)
# Idle OpenMP threads sleep; spinning ones starve the workers on a shared machine.
export OMP_WAIT_POLICY ?= PASSIVE
export DVC_NO_ANALYTICS := 1

.PHONY: reproduce studies test types tests notebooks slow slow-tests slow-notebooks verify lint snapshots bench bench-peers profile gpu-check clean

reproduce: data  ## the main job: features, training, walk-forward, comparison, index
	@dvc repro || { echo "make reproduce: stopped, and the lines above say why: run it again, what was finished is kept" >&2; \
	  exit 1; }
	sizewise report

studies: data  ## the studies behind the main job, notebooks 05 to 19
	dvc repro studies/dvc.yaml

test: data  ## lint, types, all tests but the slowest, and the main job's quick notebooks against their committed copies
	ruff check .
	ruff format --check .
	$(MAKE) --no-print-directory --jobs 3 types tests notebooks
	@command -v chromium chromium-browser google-chrome > /dev/null || \
	  echo "make test: no Chromium here, so the pages were not opened in a browser: apt-get install chromium"

# The notebooks of the quick profile wait for one another, so they run beside the tests. Those of the main job come first.
types:
	mypy
tests:
	pytest -n auto --dist loadscope --no-loadscope-reorder --slow leave
notebooks:
	pytest --nbval tests/notebooks/0[1-4]_*.ipynb

slow: data  ## the tests that take longest, nine tenths of the time of all, and every quick notebook
	$(MAKE) --no-print-directory --jobs 2 slow-tests slow-notebooks

slow-tests:
	pytest -n auto --dist loadscope --no-loadscope-reorder --slow only
slow-notebooks:
	pytest --nbval tests/notebooks

verify: slow  ## this run against the committed one, emulated processors, ten times the accounts, every printed value again
	sizewise verify
	pytest --processors whole tests/processors
	pytest -n auto --oracle-paths 100000 --decide-rows 100 tests/equivalence tests/properties
	pytest --nbval --nbval-cell-timeout=3600 reports

lint: $(STAMP)
	ruff check . --fix
	ruff format .
	mypy

snapshots: data  ## renew the executed quick notebooks after a change that is meant to change them
	python tests/notebooks/renew.py

bench: $(STAMP)  ## speed of environment and training, into metrics/bench.json
	sizewise bench

profile: data  ## where time and memory go: every stage of both pipelines again, into metrics/profile.json
	sizewise profile --pipelines

gpu-check: $(STAMP)  ## on a machine with a GPU: what training does there, in 8 minutes, into metrics/gpu.json
	sizewise gpu-check

bench-peers:  ## the same beside other people's systems, in an environment of their own; all by what this processor does best
	$(MAKE) --no-print-directory VENV=.venv-peers EXTRAS=dev,peers .venv-peers/.installed
	SIZEWISE_ARITHMETIC=native .venv-peers/bin/sizewise bench --peers

# DVC refuses where something was added to or changed in data/: its words are kept for that.
# A download without history is no Git repository, and DVC asks for one unless a file that Git ignores says otherwise.
data: $(STAMP)
	@[ -e .git ] || git rev-parse --git-dir > /dev/null 2>&1 || dvc config --quiet --local core.no_scm true
	@dvc pull --quiet $(TRACKED) || { echo "make data: 'dvc pull $(TRACKED)' failed: bars of your own belong into data/own," \
	  "move what you added to data/bars there; otherwise 'dvc pull --verbose $(TRACKED)' says why" >&2; exit 1; }

.PHONY: data

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("sizewise needs Python 3.11 or newer: set PYTHON=") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	$(if $(shell command -v uv),uv pip install --python $(VENV) $(WANTED) ||) pip install --no-compile --disable-pip-version-check $(WANTED)
	python -m sizewise.bench.compiling
	@[ ! -e .git ] || [ "$(EXTRAS)" != dev ] || $(MAKE) --no-print-directory git-notebooks
	touch $(STAMP)

# What JupyterLab adds to a notebook's metadata differs from machine to machine.
ADDED := version codemirror_mode file_extension mimetype nbconvert_exporter pygments_lexer

git-notebooks:  ## for this checkout alone: sources are committed without outputs, notebooks are compared cell by cell
	git config filter.nbstripout.clean "$(VENV)/bin/nbstripout --keep-id --extra-keys '$(ADDED:%=metadata.language_info.%)'"
	git config diff.jupyternotebook.command "$(VENV)/bin/git-nbdiffdriver diff --ignore-details --ignore-metadata"
	git config merge.jupyternotebook.name "cell by cell"
	git config merge.jupyternotebook.driver "$(VENV)/bin/git-nbmergedriver merge %O %A %B %L %P"

.PHONY: git-notebooks

clean:  ## remove what a run makes and git does not keep
	rm -rf build artifacts .pytest_cache .mypy_cache .ruff_cache
