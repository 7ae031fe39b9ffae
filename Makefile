# Two commands do all the set-up: `make demo` and `make test`. Everything else is for developers.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A CPU build of torch. Elsewhere: make demo TORCH_INDEX=--index-url=https://download.pytorch.org/whl/cpu
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
KOLM := $(abspath $(BIN))/kolm

export HF_HUB_OFFLINE = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test unit lint acceptance docs clean

# The marker holds the inputs of the environment, so that a change of them rebuilds it.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH_INDEX) "$(TORCH)" --constraint constraints.txt
	$(BIN)/python -m pip install --quiet --editable ".[dev]" --constraint constraints.txt
	touch $@

# Keys and trust live in the demo's own folder; running it again resumes where it stopped.
demo: export KOLM_HOME = $(abspath demo)/.kolm
demo: $(VENV)/.ready
	test -f demo/kolm.yaml || $(KOLM) init demo --example easy-vqa
	cd demo && $(KOLM) keys new --if-missing
	cd demo && $(KOLM) capture import easy-vqa
	cd demo && $(KOLM) compile
	cd demo && $(KOLM) verify easy-vqa.kolm
	cd demo && test -f registry/registry.json || $(KOLM) registry init registry
	cd demo && $(KOLM) registry publish easy-vqa.kolm demo/easy-vqa@1.0.0 --registry registry
	cd demo && $(KOLM) registry pull demo/easy-vqa@1.0.0 --registry registry --output pulled.kolm --force
	cd demo && $(KOLM) run pulled.kolm --image examples/0.png --prompt "what color is the shape?"
	@echo "The bundle is $(abspath demo)/easy-vqa.kolm"

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.ready
	$(BIN)/python -m pytest -m "not heavy and not slow" -p no:randomly

test: lint
	$(BIN)/python -m pytest -m "not slow" --durations=10

acceptance: $(VENV)/.ready
	$(BIN)/python -m pytest -m slow --durations=20 -s

docs: $(VENV)/.ready
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) demo build dist
