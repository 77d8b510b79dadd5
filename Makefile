# Each target makes the virtual environment if it is missing: uv where there is one, else venv and pip.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ifneq ($(PIP_FIND_LINKS),)
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

.PHONY: demo test lint bench docs clean

demo: $(VENV)/.core
	$(BIN)/condensery compare --data digits --ipc 1 --methods random herding dc idc --out runs/demo

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --durations=10 --durations-min=5

lint: $(VENV)/.types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/bench.py

docs: $(VENV)/.dev
	$(BIN)/python docs/tables.py --check
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf $(VENV) docs/_build dist runs

comma := ,
define install
	@echo "installing into $(VENV) (once)"
	@if command -v uv >/dev/null; then \
		test -d $(VENV) || uv venv -q --python $(PYTHON) $(VENV); \
		uv pip install -q --python $(BIN)/python -c constraints.txt -e "$(1)"; \
	else \
		test -d $(VENV) || $(PYTHON) -m venv $(VENV); \
		$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e "$(1)"; \
	fi
	@touch $@
endef

$(VENV)/.core: pyproject.toml constraints.txt
	$(call install,.)

$(VENV)/.dev: pyproject.toml constraints.txt
	$(call install,.[dev])
	@touch $(VENV)/.core

$(VENV)/.types: pyproject.toml constraints.txt
	$(call install,.[dev$(comma)types])
	@touch $(VENV)/.core $(VENV)/.dev
