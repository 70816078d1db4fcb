# Needs Python 3.11 or 3.12, git and make; everything else goes into .venv, pinned by hash in requirements.lock.

# The first of these that runs and is new enough (a name on the PATH may be a shim of a version that is not there).
FITTING = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
PYTHON = $(shell for name in python3.11 python3.12 python3; do $$name -c '$(FITTING)' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest

.PHONY: setup demo test slow lint bench fuzz lock clean help

help:
	@echo 'make setup   the environment, in .venv'
	@echo 'make demo    build twelve tasks from bundled samples, offline; mixture, two baselines, leaderboard'
	@echo 'make test    the test suite (make slow: the tests that need minutes)'
	@echo 'make lint    style, types, import layers'
	@echo 'make bench   measurements, with the ratio to the floor'
	@echo 'make fuzz    coverage-guided fuzzing of all readers, for SECONDS (60)'
	@echo 'make lock    write requirements.lock anew from pyproject.toml'
	@echo 'make clean   remove the environment, caches and demo artifacts'

setup: $(READY)
	@echo 'the environment is ready: $(BIN)/sciriff --help'

# The stamp is newer than what it was made from: a second run does nothing.
$(READY): requirements.lock pyproject.toml
	@test -n '$(PYTHON)' || { echo 'sciriff needs Python 3.11 or 3.12; none of python3.11, python3.12, python3 on the PATH is one' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

DEMO_STORE := artifacts/demo
DEMO_TASKS := anat_em_ner,annotated_materials_syntheses_events,biored_ner,cdr_ner,chemprot_ner,covid_deepset_qa,discomat_te,pubmedqa_qa,qasper_abstractive_qa,scicite_classification,scierc_ner,scierc_re

# Nothing of the caller's own settings changes the demo.
DEMO := env -u SCIRIFF_MIRROR -u SCIRIFF_TOKENIZER -u SCIRIFF_TEMPLATES_DIR HF_HUB_OFFLINE=1 \
	SCIRIFF_OFFLINE=1 SCIRIFF_SAMPLES=always SCIRIFF_STORE=$(DEMO_STORE) $(BIN)/sciriff

demo: $(READY)
	@echo '== build twelve tasks from the bundled samples'
	@$(DEMO) build --tasks $(DEMO_TASKS)
	@echo; echo '== a training mixture'
	@$(DEMO) mix --instances-per-task 1000 --tulu match
	@echo; echo '== evaluate two baselines'
	@$(DEMO) evaluate --model gold,lead
	@echo; echo '== leaderboard'
	@$(DEMO) leaderboard
	@echo; echo '== where everything lies'
	@echo 'instances   $(DEMO_STORE)/instructions/<window>/<task>/{train,validation,test}.jsonl'
	@echo 'dataset     $(DEMO_STORE)/instructions_hf/<window>/{train,validation,test}.{jsonl,parquet}'
	@echo 'mixture     $(DEMO_STORE)/training_mix/'
	@echo 'results     $(DEMO_STORE)/results/'
	@echo 'checks      $(DEMO_STORE)/validation/index.html'
	@echo "ask more    $(BIN)/sciriff sql --store $(DEMO_STORE) 'select * from leaderboard'"

test: $(READY)
	$(PYTEST) -m 'not slow'

# Exit status 5 of pytest: no test is marked slow.
slow: $(READY)
	$(PYTEST) -m slow || test $$? -eq 5

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks

SECONDS := 60
fuzz: $(READY)
	cd tests/readers && ../../$(BIN)/python fuzz_readers.py -max_total_time=$(SECONDS)

# Does not ask for the environment: that may be what the present lock cannot make.
lock:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock

clean:
	rm -rf $(VENV) dist $(DEMO_STORE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
