# Everything here needs only make and Python 3.11 or newer. Each target installs what it uses into
# its own virtual environment, .venv, once: again only after a change of pyproject.toml.
#
#   make demo [DATA=dir] [ARGS="--epochs 5"]     train the example network
#   make seeds [DATA=dir] [ARGS="--quick"]       the fifteen systems of examples/seeds, and a table of them
#   make test [ARGS="-k tree"]                   all tests, in parallel
#   make tiny                                    the tests of the core only: a second or two
#   make campaign                                the random tests at length: hours
#   make native [ARGS="-k scan"]                 all tests of programs, with native code from the first call
#   make lint                                    style and types
#   make docs                                    the documentation, in build/docs
#   make bench [ARGS="mlp"]                      speed, next to other libraries
#   make clean                                   remove everything that was made
#
# PYTHON=/path/to/python3.12 chooses another Python for .venv.

PYTHON ?= python3
DATA ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# Files that libraries keep for the next run belong to this directory, not to the user's home. Bytecode
# is kept in any case: tests and benchmarks start many Pythons.
KEEP := XDG_CACHE_HOME="$(CURDIR)/.cache" MPLCONFIGDIR="$(CURDIR)/.cache/matplotlib" PYTHONDONTWRITEBYTECODE=
# One BLAS thread is as fast for small matrices, and does not stall where other processes want the
# cores too; among the tests, those are the other workers.
ONE_THREAD := OPENBLAS_NUM_THREADS=$${OPENBLAS_NUM_THREADS:-1}

.PHONY: help demo seeds test campaign native tiny lint docs bench clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.examples
	$(KEEP) $(ONE_THREAD) $(BIN)/python examples/mnist_mlp.py $(if $(DATA),--data "$(DATA)") $(ARGS)

seeds: $(VENV)/.examples
	$(KEEP) $(ONE_THREAD) $(BIN)/python examples/seeds $(if $(DATA),--data "$(DATA)") $(ARGS)

test: $(VENV)/.test
	$(KEEP) $(ONE_THREAD) $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

# Each random test has a small share in `make test`; here are the large ones.
CAMPAIGN := FUNCGRAD_RANDOM_PROGRAMS=5000 FUNCGRAD_WRITING_PROGRAMS=5000 FUNCGRAD_RANDOM_BRANCHES=200 \
	FUNCGRAD_HOSTILE_CALLS=20000 FUNCGRAD_INTERRUPTS=1000 FUNCGRAD_REWRITING=6 FUNCGRAD_DTYPES=1 \
	FUNCGRAD_SPECIAL_POINTS=8 FUNCGRAD_LIMITS=20 FUNCGRAD_KILLS=50 FUNCGRAD_DAMAGES=1000 FUNCGRAD_EXAMPLES=20 \
	FUNCGRAD_NATIVE_RANDOM=10000
CAMPAIGN_TESTS := guards_random writes_random branches_random fuse_random hostile interrupts rewriting dtypes special \
	limits io train types expand unroll_loops pack_leaves random_programs native_core native_random

campaign: $(VENV)/.test
	$(KEEP) $(ONE_THREAD) $(CAMPAIGN) $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal \
	  $(CAMPAIGN_TESTS:%=tests/test_%.py) $(ARGS)
	$(MAKE) native

# Machine code is kept from run to run: programs that have not changed are not compiled again. Left out are the tests
# that do in `make test` what they would do here: those that choose what runs their programs, and those that have none.
NATIVE := FUNCGRAD_NATIVE=now FUNCGRAD_NATIVE_CACHE="$(CURDIR)/.cache/native"
APART := native_* unroll* shard fuse* pack_leaves layout expand backends offload* torch* cupy device* benchmarks \
	house declarations imports types tree tree_util coverage_table plot data_files

native: $(VENV)/.test
	$(KEEP) $(ONE_THREAD) $(NATIVE) $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal \
	  $(APART:%=--ignore-glob='tests/test_%.py') $(ARGS)

tiny: $(VENV)/.test
	$(KEEP) $(BIN)/python -m pytest tests/test_tiny.py $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/mypy --strict --follow-imports=silent --cache-dir .cache/mypy tests/typed_script.py

docs: $(VENV)/.docs
	$(KEEP) $(ONE_THREAD) $(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

bench: $(VENV)/.bench
	$(KEEP) $(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .hypothesis build dist mnist_loss.png seeds_out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Dependency groups need pip 25.1, and the pip that comes with Python may be older.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/.base: pyproject.toml
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, or name one:" \
	       "make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "funcgrad needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1)." \
	       "Name a newer one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' lacks the modules venv and ensurepip, which make .venv. On Debian and" \
	       "Ubuntu they are in the package python3-venv." >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	$(PIP_INSTALL) "pip>=25.1"
	@touch $@

$(VENV)/.examples: $(VENV)/.base
	$(PIP_INSTALL) --editable ".[examples]"
	@touch $@

$(VENV)/.bench: $(VENV)/.base
	$(PIP_INSTALL) --editable ".[bench]"
	@touch $@

$(VENV)/.test $(VENV)/.dev $(VENV)/.docs: $(VENV)/.%: $(VENV)/.base
	$(PIP_INSTALL) --group $* --editable .
	@touch $@
