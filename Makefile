# Needs Python >= 3.11 with venv, and make; everything else is installed into .venv.
#   make demo     the closed loop, from nothing to its scoreboard
#   make test     every gate: linters, types, import contracts, tests
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
# What to install PyTorch from for `make test`, as pip takes it (torch==2.13.0); tests that train are skipped without it.
TORCH  ?=

export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test torch lint bench soak docs picture format clean

help:
	@sed -n 's/^#   //p' Makefile
	@echo "make lint, format, bench, soak, docs, picture, clean"

# One stamp for the package, one for the tools of development; both are made anew when pyproject.toml changes.
$(VENV)/core.stamp: pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "make: no $(PYTHON) here; set PYTHON=/path/to/python3.11 or newer" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: volition needs Python 3.11 or newer, $(PYTHON) is $$("$(PYTHON)" -V); set PYTHON=..." >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' || { echo "make: $(PYTHON) has no venv; install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 2; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# Read from pyproject.toml by Python, because pip before 25.1 does not know dependency groups.
$(VENV)/dev.stamp: $(VENV)/core.stamp
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' > $(VENV)/dev.txt
	$(BIN)/python -m pip install --quiet --requirement $(VENV)/dev.txt
	@touch $@

demo: $(VENV)/core.stamp
	$(BIN)/volition demo $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

torch: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet $(TORCH)

# Most tests two at a time, then those that need the machine to themselves (tests/conftest.py); ARGS may leave one part empty.
test: lint $(if $(TORCH),torch)
	@$(BIN)/python -m pytest -m "not alone" --numprocesses 2 --dist worksteal $(ARGS) || test $$? -eq 5
	@$(BIN)/python -m pytest -m alone $(ARGS) || test $$? -eq 5

bench: $(VENV)/core.stamp
	$(BIN)/volition bench $(ARGS)

# Eight hours of simulated use: some twenty minutes here.
soak: $(VENV)/core.stamp
	$(BIN)/volition bench soak $(ARGS)

docs: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/report.py
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build
	@echo "the site: docs/_build/index.html"

# The README's picture: the top of a demo's report, photographed by a headless Chromium.
picture: $(VENV)/core.stamp
	rm -rf runs/picture
	$(BIN)/volition demo --viewer none --output runs/picture
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1180,745 \
	  --user-data-dir=runs/picture/chromium --screenshot=docs/pictures/report.png file://$(CURDIR)/runs/picture/report.html

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .bench
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
