# Everything a newcomer or CI needs; each target says what it does in `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST_SOURCES := $(shell find rust_core -name '*.rs' -not -path '*/target/*' -not -path 'rust_core/fuzz/*') \
	Cargo.toml Cargo.lock rust_core/core/Cargo.toml rust_core/python/Cargo.toml

# Each fuzz target runs this long, with at most 1 GiB of memory, 10 s an input and inputs beyond the largest statement.
# `none` needs no nightly toolchain; `address` does (cargo +nightly), for what crates below ours do with `unsafe`.
FUZZ_SECONDS ?= 10
FUZZ_SANITIZER ?= none
FUZZ_LIMITS = -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -timeout=10 -max_len=20000

.DEFAULT_GOAL := help
.PHONY: help setup demo check test replays bench bench-gateway faults fuzz format vectors lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.built ## Make .venv with locked dependencies and the release build

$(VENV)/.installed: locks/dev.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tallygate needs Python 3.11 or newer; set PYTHON=…")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt
	touch $@

$(VENV)/.built: $(VENV)/.installed pyproject.toml $(RUST_SOURCES)
	@command -v cargo >/dev/null || { echo "Tallygate needs a Rust toolchain (rustc and cargo, 1.89 or newer)"; exit 1; }
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	touch $@

demo: setup ## Play a whole election night on this machine (DEMO="--keep DIR")
	@$(BIN)/tallygate-fleet demo $(DEMO)

test: setup ## Run every test (Rust and Python)
	cargo test --quiet --locked --workspace
	$(BIN)/python -m pytest -q --numprocesses auto

replays: setup ## Play whole real elections (shared/data), Kyrgyzstan's over mutual TLS: minutes
	TALLYGATE_WHOLE_REPLAYS=1 $(BIN)/python -m pytest -q -s tests/integration/test_fleet_replays.py \
		tests/integration/test_tally_replay.py tests/integration/test_decision_replays.py

check: setup ## Format, lint, types, imports, stubs, clippy, licences
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest gateway._core
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
	cargo fmt --manifest-path rust_core/fuzz/Cargo.toml --check
	cargo clippy --quiet --locked --manifest-path rust_core/fuzz/Cargo.toml --target-dir target -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources of crates were not checked"; fi

bench: setup ## Measure what is promised about speed
	$(BIN)/python -m benches

# What is measured beside the gateway in Python has an environment of its own: no test needs it.
.venv-bench/.installed: locks/bench.txt
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/bench.txt
	touch $@

bench-gateway: setup .venv-bench/.installed ## Measure the gateway beside nginx and FastAPI (BENCH=--quick)
	@command -v nginx >/dev/null || { echo "nginx is needed: it is what the gateway is measured against"; exit 1; }
	cargo build --quiet --locked --release --package tallygate-loader
	$(BIN)/python -m benches.gateway $(BENCH)

faults: setup ## Fail real disks under the ledger; as root (FAULTS="--seeds 20")
	$(BIN)/python -m tests.faults.realdisk $(FAULTS)

fuzz: setup ## Run each fuzz target for FUZZ_SECONDS (10)
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is needed: cargo install --locked cargo-fuzz"; exit 1; }
	cargo fetch --quiet --locked --manifest-path rust_core/fuzz/Cargo.toml
	$(BIN)/python -m rust_core.fuzz.seeds
	cargo fuzz build --fuzz-dir rust_core/fuzz --sanitizer $(FUZZ_SANITIZER)
	@set -e; for target in $$(cargo fuzz list --fuzz-dir rust_core/fuzz); do \
		echo "fuzz $$target for $(FUZZ_SECONDS) s"; \
		cargo fuzz run --fuzz-dir rust_core/fuzz --sanitizer $(FUZZ_SANITIZER) $$target -- $(FUZZ_LIMITS) \
			>rust_core/fuzz/target/$$target.log 2>&1 || { tail -n 60 rust_core/fuzz/target/$$target.log; exit 1; }; \
		grep -a 'DONE' rust_core/fuzz/target/$$target.log; \
	done

format: setup ## Rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cargo fmt --all

vectors: setup ## Write tests/vectors again from their generator
	$(BIN)/python -m tests.vectors.generate

lock: $(VENV)/.installed ## Resolve the Python dependencies again
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --upgrade --extra dev --output-file locks/dev.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --constraint locks/dev.txt --output-file locks/run.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --upgrade --constraint locks/dev.txt --extra bench --output-file locks/bench.txt pyproject.toml

clean: ## Remove what was built
	rm -rf $(VENV) .venv-bench target rust_core/fuzz/target
