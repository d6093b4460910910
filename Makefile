# Every target works alone on a machine with Python (3.10 or newer) and make; all share one .venv.
PYTHON ?= python3
STUDY ?= paper
# more than the two cores of a small machine: tests wait for processes that they start
TEST_PROCESSES ?= 3
# 1: torch without its CUDA libraries, which is all that Linux without an NVIDIA driver needs; on a Mac there is no other
CPU ?= $(if $(shell nvidia-smi -L 2>/dev/null),0,1)
CPU_WHEELS := https://download.pytorch.org/whl/cpu

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check

# what cog writes parts of
GENERATED := README.md docs/cli.md docs/findings.md docs/paper.md
COG := $(BIN)/cog -I docs -p 'import findings, readings' --verbosity 1

.DEFAULT_GOAL := help
.PHONY: help setup reproduce test check all-tests fast-tests lint format docs site results calibration studies gpu-studies benchmarks clean

help:  ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Make .venv: about 6 GB, far less without CUDA libraries (CPU=1, the default without an NVIDIA driver)
	@echo 'source $(VENV)/bin/activate puts fluidrelu on the PATH of your shell.'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'Python 3.10 or newer is needed: name one with make PYTHON=...' >&2; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@# 2.15.0+cpu satisfies the constraint 2.15.0; what has CUDA libraries already keeps them
	@[ "$$(uname)$(CPU)" != Linux1 ] || $(PIP) show --quiet triton 2>/dev/null || { \
		echo 'Looking for torch without CUDA libraries (CPU=0 installs it with them).'; \
		sed -n 's/^\(torch[a-z]*==[^;]*\)/\1+cpu/p' constraints.txt | \
			$(PIP) install --timeout 5 --retries 0 --no-deps --extra-index-url $(CPU_WHEELS) -r /dev/stdin 2>/dev/null || \
			echo 'No package index at hand has it, so torch comes with them: .venv will take about 6 GB.'; \
	}
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

reproduce: $(READY)  ## Train the paper's six trials and print its Table 2 beside yours
	$(BIN)/fluidrelu run studies/paper.toml --results results/reproduced
	$(BIN)/fluidrelu report studies/paper.toml --results results/reproduced --against results/paper

test: $(READY)  ## Run linters, type check and all tests
	@$(MAKE) --no-print-directory --jobs=2 lint all-tests  # linters take one core for a minute, and tests wait at times

check: $(READY)  ## Run linters, type check and fast tests, while you work
	@$(MAKE) --no-print-directory --jobs=2 lint fast-tests

all-tests: $(READY)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

fast-tests: $(READY)
	$(BIN)/python -m pytest -q -m 'not slow' -n 2

lint: $(READY)  ## Run linters and type check; check what is generated
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@# Python 3.10 has other versions of what the documents are made with
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 11))' || \
		$(COG) --check --check-fail-msg 'Run make docs.' $(GENERATED)

format: $(READY)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## Write everything that is generated: findings, README's numbers, docs/cli.md and docs/figures
	$(BIN)/python docs/drawings.py
	$(COG) -r $(GENERATED)

site: $(READY)  ## Build a static site of all studies and documents in site/
	rm -rf site
	$(BIN)/python docs/website.py site

results: $(READY)  ## For maintainers: make a committed study again (STUDY=paper)
	rm -rf results/$(STUDY)/runs
	$(BIN)/fluidrelu run studies/$(STUDY).toml
	$(BIN)/fluidrelu report studies/$(STUDY).toml

calibration: $(READY)  ## For maintainers: go on with the calibration of batch size and epochs (half an hour)
	$(BIN)/fluidrelu run studies/calibration.toml
	$(BIN)/fluidrelu calibrate studies/calibration.toml

studies: $(READY)  ## For maintainers: go on with the studies of docs/findings.md (four hours on two cores)
	$(BIN)/fluidrelu run studies

gpu-studies: $(READY)  ## For maintainers: the studies that need a GPU
	$(BIN)/fluidrelu run studies/gpu --device cuda

benchmarks: $(READY)  ## Measure step, peer script and study, play faults, simulate statistics (half an hour, on a quiet machine)
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/study.py
	$(BIN)/python benchmarks/peer.py --study
	$(BIN)/python benchmarks/faults.py
	$(BIN)/python benchmarks/simulations.py

clean:  ## Remove the environment and all that tools left; results stay
	rm -rf $(VENV) build dist site .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
