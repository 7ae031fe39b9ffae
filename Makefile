# Two commands do all the set-up: `make demo` and `make test`. Everything else is for developers.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Any build of torch will do. The CPU build alone is far smaller than what PyPI has for Linux:
# make demo TORCH_INDEX=--index-url=https://download.pytorch.org/whl/cpu
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
# Tests run in so many processes, each on a core of its own and with a few GiB of memory.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile
KOLM := $(abspath $(BIN))/kolm

export HF_HUB_OFFLINE = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test unit lint acceptance reference page docs clean

# The marker holds the inputs of the environment, so that a change of them rebuilds it.
$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "Setting up $(VENV): downloads and installs torch and the rest, some minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH_INDEX) "$(TORCH)" --constraint constraints.txt
	$(BIN)/python -m pip install --quiet --editable ".[dev]" --constraint constraints.txt
	touch $@

# Keys and trust live in the demo's own folder; running it again resumes where it stopped. The
# registry starts anew: another kolm or another number of cores gives another bundle, and a published
# version never changes.
demo: export KOLM_HOME = $(abspath demo)/.kolm
demo: $(VENV)/.ready
	test -f demo/kolm.yaml || $(KOLM) -q init demo --example easy-vqa
	cd demo && $(KOLM) keys new --if-missing
	cd demo && $(KOLM) capture import easy-vqa
	cd demo && $(KOLM) compile --force
	cd demo && $(KOLM) verify easy-vqa.kolm
	cd demo && rm -rf registry && $(KOLM) -q registry init registry
	cd demo && $(KOLM) registry publish easy-vqa.kolm demo/easy-vqa@1.0.0 --registry registry
	cd demo && $(KOLM) registry pull demo/easy-vqa@1.0.0 --registry registry --output pulled.kolm --force
	cd demo && $(KOLM) run pulled.kolm --image examples/0.png --prompt "what color is the shape?"
	@echo "The bundle is $(abspath demo)/easy-vqa.kolm. To go on by hand:"
	@echo '  cd demo; export KOLM_HOME=$$PWD/.kolm PATH=$(abspath $(BIN)):$$PATH'

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.ready
	$(PYTEST) -m "not heavy and not slow" tests/unit

test: lint
	$(PYTEST) -m "not slow" --durations=10

acceptance: demo
	$(BIN)/python -m pytest -m slow --durations=20 -s

# The small bundle that a release leaves in registry/, where tests/compat verifies it for ever.
# Its key is made for it and thrown away; the public half stays, in trust.json. A killed run resumes.
REFERENCE_REGISTRY ?= registry
REFERENCE_SPEC ?= specs/reference.yaml
REFERENCE_WORK ?= build/reference
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REFERENCE_KEY := reference-$(subst .,-,$(VERSION))

reference: export KOLM_HOME = $(abspath $(REFERENCE_WORK))/.home
reference: $(VENV)/.ready
	test -f $(REFERENCE_WORK)/kolm.yaml || $(KOLM) init $(REFERENCE_WORK) --example plates
	cp $(REFERENCE_SPEC) $(REFERENCE_WORK)/kolm.yaml
	mkdir -p -m 700 $(KOLM_HOME)
	test ! -f $(REFERENCE_REGISTRY)/trust.json || cp $(REFERENCE_REGISTRY)/trust.json $(KOLM_HOME)
	$(KOLM) keys new --name $(REFERENCE_KEY) --if-missing
	$(KOLM) capture import $(REFERENCE_WORK)/pairs.jsonl --store $(REFERENCE_WORK)/captures
	$(KOLM) compile $(REFERENCE_WORK)/kolm.yaml --force
	test -f $(REFERENCE_REGISTRY)/registry.json || $(KOLM) registry init $(REFERENCE_REGISTRY)
	$(KOLM) registry publish $(REFERENCE_WORK)/plates.kolm reference/plates@$(VERSION) --registry $(REFERENCE_REGISTRY)
	$(KOLM) keys trust $(KOLM_HOME)/keys/$(REFERENCE_KEY).pub.pem --as $(REFERENCE_KEY) --role builder --role evaluator --role publisher --names "reference/*"
	install -m 644 $(KOLM_HOME)/trust.json $(REFERENCE_REGISTRY)/trust.json
	rm -r $(KOLM_HOME)
	$(KOLM) registry verify --registry $(REFERENCE_REGISTRY) --trust $(REFERENCE_REGISTRY)/trust.json

# The second verifier, as a page and as a command: needs Node 20, and the npm registry once.
page:
	cd verifier && npm ci --no-audit --no-fund && npm run check && npm run build

docs: $(VENV)/.ready
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) demo build dist
