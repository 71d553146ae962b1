# `make demo` and `make test` set up what they need on a fresh machine: Python >= 3.11 and a network for the first time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := demo-out
NETWORK := demo-network-out
PACKAGES := core drivers instruments acquisition postprocess delivery
DOTTED := $(addprefix faintlink.,$(PACKAGES))

say = @printf '\n== %s ==\n' "$(1)"

.DEFAULT_GOAL := help
.PHONY: FORCE help setup demo demo-network test test-slow lint types unit doctest package bench docs clean

help:  ## Show the targets.
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(STAMP)  ## Make .venv with everything a developer needs.

# `git clean -fdx -e .venv` removes the links that an editable install made: install again.
ifeq ($(wildcard .links/faintlink/core/.),)
$(STAMP): FORCE
endif

$(STAMP): pyproject.toml hatch_build.py
	$(call say,set up $(VENV); only needed when pyproject.toml changed)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "faintlink needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo not there)."; \
	  echo "Install one and name it: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "This Python cannot make virtual environments."; \
	  echo "On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: setup  ## Record a mock link, make a key of it, and show both in demo-out/.
	$(call say,record a mock link and make a secret key of it: results in $(DEMO)/)
	@if [ -e $(DEMO) ] && [ ! -e $(DEMO)/.made-by-demo ]; then \
	  echo "$(DEMO)/ exists and was not made by make demo: move it away first"; exit 1; fi
	@rm -rf $(DEMO)
	@# Marked however the demo ends, so that the next one may replace it.
	@trap 'test ! -d $(DEMO) || touch $(DEMO)/.made-by-demo' EXIT; trap 'exit 130' INT TERM; \
	  echo '$(BIN)/faintlink demo --out $(DEMO)'; $(BIN)/faintlink demo --out $(DEMO)

demo-network: setup  ## Share keys of two mock links over three sites, and encrypt with them: demo-network-out/.
	$(call say,two mock links, three sites, one message between applications that share no link)
	@if [ -e $(NETWORK) ] && [ ! -e $(NETWORK)/.made-by-demo ]; then \
	  echo "$(NETWORK)/ exists and was not made by make demo-network: move it away first"; exit 1; fi
	@rm -rf $(NETWORK)
	@trap 'test ! -d $(NETWORK) || touch $(NETWORK)/.made-by-demo' EXIT; trap 'exit 130' INT TERM; \
	  echo '$(BIN)/faintlink network demo --out $(NETWORK)'; $(BIN)/faintlink network demo --out $(NETWORK)

test: setup lint types unit doctest docs package  ## Everything that must be green: what CI runs.
	$(call say,all checks passed)

lint: setup
	$(call say,format and lint: ruff)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(call say,imports go down: import-linter)
	$(BIN)/lint-imports
	$(call say,spelling: codespell)
	$(BIN)/codespell $(PACKAGES) examples tests docs lab_configs *.md Makefile pyproject.toml mkdocs.yml

types: setup
	$(call say,types: mypy)
	$(BIN)/mypy $(addprefix -p ,$(DOTTED))
	$(BIN)/mypy tests
	$(BIN)/mypy examples

unit: setup
	$(call say,tests: pytest without the slow ones)
	$(BIN)/python -m pytest -q -n auto --dist loadfile

doctest: setup
	$(call say,examples in docstrings)
	@# pytest ends with 5 where no package has an example.
	$(BIN)/python -m pytest -q -m '' --doctest-modules --pyargs $(DOTTED) || [ $$? -eq 5 ]

test-slow: setup  ## The tests that take minutes.
	$(call say,slow tests: pytest -m slow)
	$(BIN)/python -m pytest -q -m slow

docs: setup  ## Build the documentation into site/.
	$(call say,documentation: mkdocs)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

package: setup
	$(call say,package: sdist to wheel to a fresh environment)
	$(BIN)/python tests/check_package.py

bench: $(STAMP)-bench  ## Measure ratios to other programs; prints tables.
	$(call say,benchmarks)
	$(BIN)/python -m tests.benchmarks

$(STAMP)-bench: $(STAMP)
	$(call say,install the programs to compare with)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

clean:  ## Remove what the other targets made, the environment excepted.
	rm -rf site dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
	@for made in $(DEMO) $(NETWORK); do if [ -e $$made/.made-by-demo ]; then rm -rf $$made; fi; done
