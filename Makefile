# Everything one types here. `make` alone lists the targets.

VENV ?= .venv
PYTHON ?= python3
PROMPT ?= a yellow car in the city
ARGS ?=
SIDE_BY_SIDE ?= -n 3 --dist loadfile
export PROMPT

BIN := $(VENV)/bin
TORCH := $(shell sed -n 's/^\(torch==[0-9.]*\).*/\1/p' requirements.txt)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# torch's own wheel brings these on Linux with a GPU build; which ones is torch's business.
CUDA := cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
	nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile \
	nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 \
	nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx triton

.PHONY: help run test check slow soak containers bench lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## grow a picture: PROMPT="a blue car at night" make run
	@$(BIN)/orchestrator run "$$PROMPT" $(ARGS)

test: $(VENV)/.testing ## run the tests
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

check: $(VENV)/.testing ## ruff, mypy and the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

slow: $(VENV)/.testing ## the tests that take minutes
	$(BIN)/python -m pytest -m slow $(ARGS)

soak: $(VENV)/.testing ## the tests that take hours
	$(BIN)/python -m pytest -m soak $(ARGS)

containers: $(VENV)/.testing ## the tests of compose.yaml (needs a Docker engine)
	$(BIN)/python -m pytest -m containers $(ARGS)

bench: $(VENV)/.installed ## measure: search, pipeline and messaging, each against a rival
	$(BIN)/python -m benchmarks.search $(ARGS)
	$(BIN)/python -m benchmarks.search_core
	$(BIN)/python -m benchmarks.pipeline
	$(BIN)/python -m benchmarks.ensemble
	$(BIN)/python -m benchmarks.roundtrip
	$(BIN)/python -m benchmarks.handoff
	$(BIN)/python -m benchmarks.sharing

lock: ## resolve the tested versions again (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate $(CUDA:%=--no-emit-package %) -o requirements.txt
	uv pip compile pyproject.toml --extra test --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate $(CUDA:%=--no-emit-package %) \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements.txt) \
		-o requirements-test.txt

clean: ## remove the virtual environment
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
		f"Glasshouse needs Python 3.11 or newer, this is {v[0]}.{v[1]}: PYTHON=python3.12 make")'
	$(PYTHON) -m venv $(VENV)

# A build of torch that this machine's pip knows as a file (a CPU build, say) is taken as it is.
# All else is hash-checked, without dependencies; then what the build of torch needs besides.
$(VENV)/.libraries: requirements.txt | $(BIN)/python
	@echo "Installing into $(VENV): 1.3 GB, or 5 GB where torch comes with CUDA."
	@$(PIP) --no-deps --no-index $(TORCH) 2>/dev/null || true
	$(PIP) --no-deps --require-hashes -r requirements.txt
	$(PIP) torch
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.libraries
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.testing: requirements-test.txt $(VENV)/.installed
	$(PIP) --no-deps --require-hashes -r requirements-test.txt
	@touch $@
