# Needs only Python >= 3.11 and make; everything else is installed into .venv from requirements.lock.
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
UV := $(BIN)/python -m uv
STAMP := .venv/.installed

.PHONY: lab test chapters build book lint lock install

lab: install  ## open JupyterLab on the first chapter (ARGS=--no-browser on a server)
	$(BIN)/medvlm-lab open $(ARGS)

test: install  ## the tests, two processes with a core each (ARGS are pytest's)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(ARGS)

chapters: install  ## execute every chapter without changing it (ARGS='--jobs 2 --report report')
	$(BIN)/medvlm-lab chapters run $(ARGS)

build: install  ## rebuild notebooks/*.ipynb from notebooks/src/*.py
	$(BIN)/medvlm-lab chapters build $(ARGS)

book: install  ## the executed chapters as a static site in build/book
	$(BIN)/medvlm-lab chapters book $(ARGS)

lint: install
	$(BIN)/python -m ruff check .

# torch and torchvision are resolved together: separate builds do not load each other's operators.
lock: $(BIN)/python
	$(UV) --version >/dev/null 2>&1 || $(BIN)/python -m pip install -q "uv>=0.5,<1"
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --extra test \
		--no-header --no-annotate pyproject.toml -o requirements.lock

install: $(STAMP)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# The stamp comes last, so that an interrupted installation is resumed and a finished one costs nothing.
$(STAMP): requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q "uv>=0.5,<1"
	$(UV) pip install --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --python $(BIN)/python --no-deps -e .
	$(BIN)/medvlm-lab kernel install
	touch $@
