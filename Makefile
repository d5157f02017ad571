# Everything a person types here. The first call makes .venv from the lock; nothing else needs to be installed
# than make and Python 3.11 with its venv module (Debian: apt install make python3-venv).

PYTHON ?= python3
# which packages: Linux takes the lock with CUDA, which works without a GPU too (see the heads of the two files)
LOCK ?= envs/requirements$(if $(filter Darwin,$(shell uname -s)),-cpu).lock
# address of PyTorch's CPU wheels, for Linux without CUDA's packages (see envs/requirements-cpu.lock)
TORCH_INDEX ?=
# processes that `make test` uses, each with one thread
WORKERS ?= 2
# more words for snakemake or pytest: make figures ARGS="--config study=tiny"
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check
# rules and tests start `python`: that of .venv
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"
SNAKEMAKE := $(IN_VENV) $(BIN)/snakemake
PYTEST := $(IN_VENV) OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadgroup
SNAKEFILES := Snakefile workflow
GENERATED := .venv/generated

.DEFAULT_GOAL := help
.PHONY: help figures transfer_full metaticket_full report pictures test test-slow lint format lock clean clean-results

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

figures: .venv/ready ## make all figures of the study that config.yaml names
	$(SNAKEMAKE) --resources gpu=1 $(ARGS)

transfer_full: .venv/ready ## learning transfer on digits with three pairs everywhere (half an hour)
	$(SNAKEMAKE) --resources gpu=1 --config study=transfer.full $(ARGS)

metaticket_full: .venv/ready ## few-shot learning on digits and sinusoids, long runs with five seeds
	$(SNAKEMAKE) --resources gpu=1 --config study=metaticket.full $(ARGS)

report: .venv/ready ## pack all figures and tables with their captions into report.zip
	$(SNAKEMAKE) --report report.zip $(ARGS)

pictures: ## copy the demo's figures that README shows into docs/figures
	cp $(addprefix results/demo/figures/iterand/,fig1.png fig2.png claims.png) docs/figures/
	cp results/demo/figures/transfer/fig5.png docs/figures/transfer.png
	cp results/demo/figures/transfer/claims.png docs/figures/transfer-claims.png
	cp results/demo/figures/metaticket/results.png docs/figures/fewshot.png

test: .venv/ready ## run the tests, except those that are long or need a GPU
	$(PYTEST) -m "not slow and not gpu" $(ARGS)

test-slow: .venv/ready ## run the tests that `make test` leaves out
	$(PYTEST) -m "slow or gpu" $(ARGS)

lint: .venv/ready ## check style, types and generated files; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check $(SNAKEFILES)
	$(BIN)/snakemake --lint
	$(BIN)/mypy
	@rm -rf $(GENERATED) && mkdir -p $(GENERATED)/docs $(GENERATED)/workflow/schemas
	@$(BIN)/carryover schema --root $(GENERATED) > /dev/null
	@diff -r workflow/schemas $(GENERATED)/workflow/schemas && diff docs/config.md $(GENERATED)/docs/config.md \
	    || { echo "generated files are out of date: run make format" >&2; exit 1; }

format: .venv/ready ## format all code and write the generated files
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/snakefmt $(SNAKEFILES)
	$(BIN)/carryover schema

lock: .venv/ready ## resolve pyproject.toml into the locks, with UPGRADE=--upgrade to the newest versions
	$(PIP) install uv
	$(IN_VENV) envs/lock.sh $(UPGRADE)

clean: ## remove .venv and caches; results stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis src/carryover.egg-info
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

clean-results: ## remove all results, after asking
	@du -sh results
	@printf 'Remove everything in results/ but its README? Type yes: '; read -r answer; [ "$$answer" = yes ]
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +

# The stamps are the last thing that an install writes: one that was interrupted starts afresh.
.venv/locked: $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed; say where: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing $(LOCK) into .venv, once: 2 minutes or more (Linux with CUDA: 3 GB to download, 6 GB on disk)"
	$(PYTHON) -m venv --clear .venv
ifneq ($(TORCH_INDEX),)
	$(PIP) install --no-deps --index-url "$(TORCH_INDEX)" $$(grep -oE '^torch(vision)?==[^ ]+' $(LOCK))
endif
	$(IN_VENV) envs/install-lock.sh $(LOCK)
	@touch $@

.venv/ready: pyproject.toml .venv/locked
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
