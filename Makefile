# make demo   the main job on real speech with real weights
# make words  then: transcripts, word times and the words behind the scores of PAIRS at STATE; ENCODER says what words mean
# make control  then: sound, meaning and length of the demo's pairs, beside an encoder trained on English alone
# make lexicon  cognates, synonyms and near-homophones among recorded numbers, days and months in five languages
# make test   lint and the tests; make test-deep types, what takes long, and all with the oldest dependencies
# Tests of launch on a real Slurm are skipped without one: apt-get install --no-install-recommends slurm-wlm munge
# PYTHON=python3.12 chooses the interpreter; each version has an environment of its own.
PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv-$(VERSION)
BIN := $(VENV)/bin
# The locks name every package, so that nobody need look what each depends on. uv installs in seconds; where it can't,
# because only pip knows of a mirror, pip does the same in a minute.
PIP := -m pip --disable-pip-version-check --quiet install --no-compile --no-deps
install = $(BIN)/uv pip install --quiet --python $(1)/bin/python --no-deps $(2) \
  || { echo "uv can't install here, so pip does."; $(1)/bin/python $(PIP) $(2); }

CORPUS ?= demo
LANGUAGES ?=
MODEL ?= demo
OUT ?= out/$(subst :,-,$(notdir $(CORPUS)))
PAIRS ?= $(if $(filter demo,$(CORPUS)),en-fr,all)
STATE ?= 6
ENCODER ?= use-multilingual
CONTROL ?= demo

# Bytecode is kept: without it each of the many processes of a test run compiles its libraries, some 5 s.
unexport PYTHONDONTWRITEBYTECODE

# The scripts of a page are one module, and are linted as one. Neither command of deno needs a network.
PAGES := engine/interpretation/page engine/control/page engine/report/report_page engine/report/maps_page engine/report/grids_page
DENO_LINT := $(BIN)/deno lint --quiet --no-config --rules-include=no-undef,eqeqeq
export DENO_NO_UPDATE_CHECK = 1

# A file's tests stay in one process, which keeps what its fixtures made. Three processes for two cores, because
# some tests wait: for Slurm, browsers and servers.
PYTEST := -q -ra -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: demo words control lexicon test test-deep test-lowest check lint types docs lock

demo: $(VENV)/run.done
	@bash demo/run.sh $(BIN)/python "$(CORPUS)" "$(LANGUAGES)" "$(MODEL)" "$(OUT)"

words: demo $(VENV)/tools.done
	@bash demo/words.sh $(BIN)/python "$(CORPUS)" "$(LANGUAGES)" "$(MODEL)" "$(OUT)" "$(PAIRS)" "$(STATE)" "$(ENCODER)"

control: demo $(VENV)/tools.done
	@bash demo/control.sh $(BIN)/python "$(CORPUS)" "$(LANGUAGES)" "$(CONTROL)" "$(OUT)" "$(ENCODER)"

lexicon: $(VENV)/tools.done
	@bash demo/lexicon.sh $(BIN)/python "$(CORPUS)" "$(LANGUAGES)" "$(MODEL)" "$(OUT)"

# XLA compiles for a fourth of the time of the tests, and most programs run once: here it optimises less, unless
# XLA_FLAGS is set. The long tests run programs as users do.
ifeq ($(origin XLA_FLAGS),undefined)
test test-lowest: export XLA_FLAGS = --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true
endif

# What is checked in a second comes first.
test: lint
	$(BIN)/python -m pytest $(PYTEST) -m "not deep"

test-deep: check test-lowest
	$(BIN)/python -m pytest $(PYTEST) -m "deep or hypothesis" --hypothesis-profile=deep

check: lint types

types: $(VENV)/test.done
	@mkdir -p .types/isogloss && cd .types/isogloss && for part in engine jobs kernels; do ln -sfn ../../$$part $$part; done
	$(BIN)/basedpyright --pythonpath $(BIN)/python --warnings

lint: $(VENV)/test.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/deno fmt --check --quiet --no-config --line-width=110 engine/*/*.js engine/*/*.css engine/*/*.html
	@for page in $(PAGES); do cat engine/drawing/page*.js $$page*.js | $(DENO_LINT) - || exit 1; done

$(VENV)/run.done: locks/uv.txt locks/run.txt pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --require-hashes -r locks/uv.txt
	@$(call install,$(VENV),--require-hashes -r locks/run.txt)
	@$(call install,$(VENV),--editable .)
	touch $@

# What the tests need, and the extras: phones of words among them.
$(VENV)/tools.done: $(VENV)/run.done locks/test.txt
	@$(call install,$(VENV),--require-hashes -r locks/test.txt)
	touch $@

# Bytecode of what every process of the tests imports is made while pip, on another core, unpacks PyTorch. A package
# without it is compiled when it is imported, by each worker anew. librosa has Numba compile when it is first imported.
COMPILED := jax jaxlib numpy scipy pandas statsmodels beartype orbax flax optax numba xarray zarr fontTools matplotlib \
  hypothesis

$(VENV)/test.done: $(VENV)/tools.done locks/oracle.txt
	@(cd $(VENV)/lib/python$(VERSION)/site-packages && \
	  $(CURDIR)/$(BIN)/python -m compileall -q -x '/tests?/' $(COMPILED) >/dev/null 2>&1; \
	  $(CURDIR)/$(BIN)/python -c 'import librosa; librosa.resample' || true) & \
	$(BIN)/python $(PIP) --no-build-isolation --require-hashes -r locks/oracle.txt 2>/dev/null \
	  || echo "The oracles (torch 2.13.0 for the CPU and what needs it) can't be installed for Python $(VERSION) here:" \
	    "tests against PyTorch, openai-whisper and sentence-transformers are skipped, those against NumPy float64 are not."; \
	wait
	touch $@

# Tests with the oldest dependencies that pyproject.toml admits, for which Python 3.11 has wheels.
# What old libraries deprecate among themselves isn't a fault; every other warning is an error, as in `make test`.
test-lowest: .venv-lowest/test.done
	.venv-lowest/bin/python -m pytest $(PYTEST) -m "not deep" -W default::DeprecationWarning

.venv-lowest/test.done: $(VENV)/run.done locks/lowest.txt pyproject.toml setup.py
	python3.11 -m venv .venv-lowest
	@$(call install,.venv-lowest,--require-hashes -r locks/lowest.txt)
	@$(call install,.venv-lowest,--editable .)
	touch $@

# Writes what docs/ has from the code: options, jobs, measures, corpora, and a page for a new job.
docs: $(VENV)/run.done
	$(BIN)/python docs/options.py

# Rewrites the locks.
COMPILE := $(BIN)/uv pip compile --upgrade --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml
lock: $(VENV)/run.done
	echo uv | $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header - -o locks/uv.txt
	$(COMPILE) --universal -o locks/run.txt
	$(COMPILE) --universal --extra cuda -o locks/cuda.txt
	echo torch==2.13.0 | $(COMPILE) --universal --extra torch --constraint - -o locks/torch.txt
	$(COMPILE) --universal --extra test --extra check -o locks/test.txt
	$(COMPILE) --resolution=lowest-direct --extra test -o locks/lowest.txt
