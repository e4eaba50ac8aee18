# Two commands are enough: `make demo` and `make test`. `make` alone lists the rest.
# Everything runs in a virtual environment that scripts/setup.sh makes and keeps; nothing else on the machine is touched.

VENV ?= .venv
PYTHON ?=
PIP_ARGS ?=
EXTRAS ?=
DEMO_ARGS ?=
PYTEST_ARGS ?=

# No display and no writable home folder needed: matplotlib draws to files and keeps its font cache in the environment.
MPLBACKEND ?= Agg
MPLCONFIGDIR ?= $(if $(filter /%,$(firstword $(VENV))),,$(CURDIR)/)$(VENV)/matplotlib
export VENV PYTHON PIP_ARGS MPLBACKEND MPLCONFIGDIR

comma := ,
DEV = dev$(if $(EXTRAS),$(comma)$(EXTRAS))

.PHONY: help demo test lint docs clean

help: ## list the targets and their variables
	@echo 'make TARGET [VARIABLE=value ...]'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-6s %s\n", $$1, $$2}' Makefile
	@echo
	@echo '  PYTHON=python3.12   the interpreter to make the environment with (3.11 or newer; default python3)'
	@echo '  PIP_ARGS="..."      further arguments for pip install, for instance the index of another PyTorch build'
	@echo '  VENV=folder         where the environment is (default .venv)'
	@echo '  DEMO_ARGS="..."     arguments of the demo (make demo DEMO_ARGS=--help lists them)'
	@echo '  PYTEST_ARGS="..."   arguments of pytest, for instance "-m slow" or "-k trajectory -n 0"'
	@echo '  EXTRAS=umap,lime    extras to install beside the test tools (umap, flow, lime, mujoco, parquet, ray, onnx, lm, sweep, app, docs)'

demo: ## install, train an agent on handwritten digits, explain some, write a run folder with a report
	@sh scripts/setup.sh
	@"$$VENV/bin/python" -m agents.demo $(DEMO_ARGS)

test: ## install the test tools and run the tests
	@sh scripts/setup.sh $(DEV)
	@"$$VENV/bin/python" -m pytest -n auto --maxprocesses 4 $(PYTEST_ARGS)

lint: ## ruff check, ruff format --check, mypy
	@sh scripts/setup.sh $(DEV)
	@status=0; "$$VENV/bin/python" -m ruff check . || status=1; "$$VENV/bin/python" -m ruff format --check . || status=1; \
	"$$VENV/bin/python" -m mypy && exit $$status

docs: ## build the documentation site into site/, strictly and offline
	@sh scripts/setup.sh docs
	@NO_MKDOCS_2_WARNING=1 "$$VENV/bin/python" -m mkdocs build --strict --quiet && echo 'The site is in site/index.html; its search needs a server: python -m http.server -d site'

clean: ## remove the environment, caches and build output; runs/ stays
	@if [ -e "$$VENV/.made-by-setup" ]; then rm -rf "$$VENV" "$$VENV.lock" "$$VENV.trash"; fi
	@rm -rf build dist site ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find envs vime agents tests -name __pycache__ -type d -prune -exec rm -rf {} +
