# The only list of commands; CI calls these and nothing else.
.DEFAULT_GOAL := help
.PHONY: help setup build demo test test-core test-formats test-envoy test-report test-fuzz fuzz check bench floor soak dist schema tables clean
SHELL := /bin/sh

# The filter is built alone: with cdylib and rlib together cargo drops link-time optimisation.
TARGET  := wasm32-wasip1
BUILT   := target/$(TARGET)/release/phiward.wasm
WASM    := target/phiward.wasm
PYTHON  := .lab/venv/bin/python
MAX_WASM := 2000000
# What rustc uses of WebAssembly by default, and no more.
WASM_FEATURES := --enable-bulk-memory --enable-bulk-memory-opt --enable-multivalue --enable-mutable-globals \
	--enable-nontrapping-float-to-int --enable-reference-types --enable-sign-ext

# Panic messages name source files: without the folder of this machine, so that the bytes do not depend on it.
CRATES := $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS := \
	--remap-path-prefix=$(CRATES)= --remap-path-prefix=$(CRATES)/index.crates.io-1949cf8c6b5b557f=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: rustup target, Envoy, FHIR server, authorization server (pinned, in .lab/)
	@lab/setup

build: setup ## the filter: target/phiward.wasm
	@cargo rustc --locked --quiet --release --lib --crate-type cdylib --target $(TARGET)
	@[ $(WASM) -nt $(BUILT) ] || lab/node_modules/.bin/wasm-opt -Oz $(WASM_FEATURES) $(BUILT) -o $(WASM)
	@touch $(WASM)

demo: build ## a day in the life of a clinic, through a real Envoy
	@PYTHONPATH=. $(PYTHON) demo/demo.py

test: build test-core test-formats test-envoy test-report test-fuzz ## everything: unit, property, golden and example tests, the filter in a real Envoy, a little fuzzing

test-core: ## what needs no Envoy
	cargo test --locked --quiet --all-features

test-formats: setup ## the audit trail's AuditEvents before a real FHIR server
	PYTHONPATH=. $(PYTHON) -m pytest -q -p no:cacheprovider tests/fhir

test-envoy: build ## the .wasm of this commit in a real Envoy
	@lab/setup receivers
	@cargo build --locked --quiet --features cli --bin phiward
	PYTHONPATH=. $(PYTHON) -m pytest -q -p no:cacheprovider tests/envoy

test-report: setup ## the HTML form of the audit report in a real browser
	@lab/setup browser
	cargo build --locked --quiet --features cli --bin phiward
	$(PYTHON) -m pytest -q -p no:cacheprovider tests/report

test-fuzz: ## every fuzz target for some seconds, from the seeds
	@python3 fuzz/run.py --short --seconds 9

fuzz: ## every fuzz target for SECONDS (300); findings in fuzz/artifacts
	@python3 fuzz/run.py --seconds $(or $(SECONDS),300)

check: setup ## format, lints (native and wasm32), dependencies, documentation
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --locked --quiet --all-targets --all-features -- -D warnings
	cargo clippy --locked --quiet --lib --target $(TARGET) -- -D warnings
	cargo fetch --locked --quiet
	.lab/venv/bin/cargo-deny --offline --log-level error check --hide-inclusion-graph licenses bans sources
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --no-deps --all-features

bench: build floor ## side by side with Envoy's own filters (docs/performance.md), and the core alone; BENCH="--rounds 3" for less
	cargo bench --locked --quiet --bench deciding
	cargo bench --locked --quiet --bench judging
	cargo bench --locked --quiet --bench revocation
	PYTHONPATH=. $(PYTHON) -m benches.proxy $(BENCH)

# What phiward is compared with: a filter that does nothing, by the same SDK.
floor:
	@cargo rustc --locked --quiet --release --package floor --lib --crate-type cdylib --target $(TARGET)
	@lab/node_modules/.bin/wasm-opt -Oz $(WASM_FEATURES) target/$(TARGET)/release/floor.wasm -o target/floor.wasm

soak: build ## ten minutes of full load with everything that changes meanwhile (SOAK_SECONDS, SOAK_RATE)
	@PYTHONPATH=. $(PYTHON) -m lab.soak

dist: build ## dist/phiward.wasm, its size and SHA-256
	@mkdir -p dist
	@cp $(WASM) dist/phiward.wasm
	@cd dist && sha256sum phiward.wasm > phiward.wasm.sha256
	@size=$$(wc -c < dist/phiward.wasm); echo "dist/phiward.wasm  $$size bytes"; cat dist/phiward.wasm.sha256; \
		[ $$size -le $(MAX_WASM) ] || { echo "larger than $(MAX_WASM) bytes"; exit 1; }

tables: setup ## the FHIR tables in src/fhir/tables, from the official definitions
	python3 tools/fhir-tables/generate.py

schema: ## docs generated from the sources: schemas and reference tables
	UPDATE_GOLDEN=1 cargo test --locked --quiet --all-features

clean: ## everything that was built or installed here
	rm -rf target dist .lab lab/node_modules
