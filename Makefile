# All set-up is done here: a fresh Debian or Ubuntu needs only Python >= 3.11 and make.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
RELAY_CONFIG ?= config/relay.yaml
SENSOR_CONFIG ?= config/sensor.yaml
SOAK_MINUTES ?= 20
STAMP := $(VENV)/.installed

.PHONY: run test test-deploy faults image lint types check bpf bpf-check bench soak lock screenshots clean help

help:  ## say what each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(STAMP): requirements/dev.txt pyproject.toml
	PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh
	touch $@

setup: $(STAMP)  ## make the virtual environment with the locked dependencies

run: $(STAMP)  ## sensor where the kernel allows, relay and dashboard; says what to open
	sh scripts/system_packages.sh run
	$(BIN)/python scripts/run.py --relay-config $(RELAY_CONFIG) --sensor-config $(SENSOR_CONFIG)

test: $(STAMP)  ## set everything up and run the tests
	sh scripts/system_packages.sh test
	$(BIN)/python -m pytest

image:  ## build the container image
	docker compose build

test-deploy: $(STAMP)  ## bring the compose file up for real; needs root and Docker
	$(BIN)/python -m pytest -m deploy tests/deploy

faults: $(STAMP)  ## a hundred kills and every other fault, with a log that shows each; some need root
	sh scripts/system_packages.sh test
	FAULTS=full PYTHONUNBUFFERED=1 nice $(BIN)/python -m pytest -s -v tests/faults

lint: $(STAMP)  ## ruff: format and rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)  ## mypy --strict on all packages
	$(BIN)/mypy

check: lint types test  ## all of the above

bpf: ## compile the BPF object with the recorded compiler
	sh scripts/system_packages.sh bpf
	sh scripts/build_bpf.sh

bpf-check: $(STAMP)  ## build the BPF object again and compare instructions, maps and relocations
	sh scripts/system_packages.sh bpf
	$(BIN)/python scripts/check_bpf.py

bench: $(STAMP)  ## ingest, delivery, memory and rules, beside their baselines
	sh scripts/system_packages.sh bench
	$(BIN)/python -m benchmarks.relay
	$(BIN)/python -m benchmarks.endpoint
	$(BIN)/python -m benchmarks.rules

soak: $(STAMP)  ## half the maximum rate for SOAK_MINUTES (20): what grows?
	$(BIN)/python -m benchmarks.soak --minutes $(SOAK_MINUTES)

screenshots: $(STAMP)  ## the pictures of the dashboard in docs/images
	sh scripts/system_packages.sh test
	$(BIN)/python -m scripts.screenshots

lock: $(STAMP)  ## resolve the dependencies again
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 pyproject.toml --no-header -o requirements/runtime.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --group dev pyproject.toml --no-header -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --group build --no-header -o requirements/build.txt

clean:  ## remove what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
