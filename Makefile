# make map    map the phases of a small network on handwritten digits into runs/digits; run again, it goes on where it stopped
# make test   linter, formatter, type checker, tests and doctests; the slow tests too: .venv/bin/pytest -m slow
# make docs   the documentation as pages into site/; they need no network
#
# The first of them makes .venv and installs the package with the tested versions of constraints.txt; `make test` and `make docs`
# add what they need.
#
# PYTHON       the interpreter, 3.11 or newer                     make test PYTHON=python3.12
# TORCH_INDEX  an additional package index for the install. On Linux the default PyTorch carries several GB of CUDA
#              libraries; without a GPU, give the index that PyTorch documents for CPU wheels.   make map TORCH_INDEX=...

PYTHON ?= python3
TORCH_INDEX ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
DEVELOPED := .venv/.developed
# Python compiles a module when it is first imported; to compile all of them takes longer than a small map.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-compile \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt

.PHONY: map test docs

map: $(INSTALLED)
	$(BIN)/spinodal map digits --out runs/digits --resume

test: $(DEVELOPED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile -m "not slow"

docs: $(DEVELOPED)
	@test -x $(BIN)/mkdocs || { echo "mkdocs is missing; install it with: $(BIN)/python -m pip install -c constraints.txt -e '.[docs]'" >&2; exit 1; }
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# A stamp is touched last, so an interrupted install is repeated, and a finished one only when its inputs change.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) -e .
	touch $@

$(DEVELOPED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) -e '.[dev,docs]'
	touch $(INSTALLED) $@
