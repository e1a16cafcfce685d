# One command per habit. Environments are made on first use: .venv for the default python3, .venv-3.8 and .venv-3.13 beside it
# for the oldest and the newest Python, where those exist.
PYTHON ?= python3
OLDEST := 3.8
NEWEST := 3.13

DEFAULT_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# the oldest and the newest, where they are found and are not the default already
OTHERS := $(foreach v,$(filter-out $(DEFAULT_VERSION),$(OLDEST) $(NEWEST)),$(if $(shell bin/find-python $(v)),$(v)))
OTHER_PYTHONS := $(subst $(eval) ,:,$(foreach v,$(OTHERS),$(CURDIR)/.venv-$(v)/bin/python))
PYTEST := -m pytest -q
# setuptools warns in ten lines that an installation is editable; that is what these are for
QUIET := PYTHONWARNINGS=ignore

.PHONY: demo test check format environments chaos detection fuzz hostile soak clean model faults

demo: .venv/installed  ## a group of branches on a route, with pictures, in demo-out/
	env -u B2D_ENDPOINT -u B2D_CURVE_DIR .venv/bin/b2d demo --out demo-out

# The suite in two parts for each Python, two at a time; pytest's own output comes when a part is done
VENVS := .venv $(OTHERS:%=.venv-%)
ENDS := tests/farm tests/unit tests/model
WORLDS := tests/carla tests/contract tests/standin

test:  ## the suite, on the oldest, the default and the newest Python
	@$(MAKE) --no-print-directory -j3 environments
	@for v in $(filter-out $(OTHERS),$(filter-out $(DEFAULT_VERSION),$(OLDEST) $(NEWEST))); do echo "Python $$v is not on this machine: not tested on it"; done
	@echo "$(words $(VENVS)) Pythons, two parts each, two at a time: some 12 minutes; each is told when it is done"
	@$(MAKE) --no-print-directory --keep-going -j2 --output-sync=target $(foreach v,$(VENVS),part@ENDS@$(v) part@WORLDS@$(v))

part@%:
	@echo "== $(lastword $(subst @, ,$*)): $($(firstword $(subst @, ,$*)))"
	$(if $(findstring -,$*),,B2D_FAULTS=300000 B2D_KILLS=200 B2D_OTHER_PYTHONS='$(OTHER_PYTHONS)') $(lastword $(subst @, ,$*))/bin/python $(PYTEST) $($(firstword $(subst @, ,$*)))

FAULTS ?= 10000000
faults: .venv/installed  ## ten million simulated faults, a few minutes for each million; FAULTS= for another number
	B2D_FAULTS=$(FAULTS) .venv/bin/python $(PYTEST) -s tests/unit/test_histories.py

model: .venv/installed  ## spin's search of the model of lease and fencing, with the history of each defect; wants spin and a C compiler, 2 GB, some minutes
	B2D_MODEL=1 .venv/bin/python $(PYTEST) -s tests/model

KILLS ?= 2000
chaos: .venv/installed  ## two thousand kills and stops on a real farm, some 10 to 15 minutes; KILLS= for another number, B2D_CHAOS_SEED= for the same again
	B2D_KILLS=$(KILLS) .venv/bin/python $(PYTEST) -s tests/farm/test_chaos.py tests/farm/test_moments.py

detection: .venv/installed  ## how soon a death is found, an episode resumed and a restarted broker heard, a minute or two; wants a quiet machine
	.venv/bin/python benchmarks/detection.py

SOAK ?= 60
fuzz: .venv/installed  ## a million inputs for every decoder, guided by coverage, a quarter of an hour; RUNS= for another number; wants a Python that atheris has a wheel for
	.venv/bin/python -m pip install --quiet 'atheris >= 3.0'
	.venv/bin/python benchmarks/fuzz.py --runs $(or $(RUNS),1000000)

hostile: .venv/installed  ## 30,000 connections of strangers to a farm without keys and to one with, and what they cost the others, some 5 minutes; wants a quiet machine
	.venv/bin/python benchmarks/hostile.py

soak: .venv/installed  ## eight workers at full speed under kills for SOAK= minutes: nothing may grow
	.venv/bin/python benchmarks/soak.py --minutes $(SOAK)

check: .venv/installed  ## style, types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/installed
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

environments: .venv/installed $(OTHERS:%=.venv-%/installed)

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	$(QUIET) .venv/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

.venv-%/installed: setup.cfg pyproject.toml
	$$(bin/find-python $*) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --upgrade pip
	$(QUIET) .venv-$*/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv .venv-* demo-out fuzz-out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
