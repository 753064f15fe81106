# Each target sets up what it needs, then does it. The work is in tests/ and in cargo.
.PHONY: help demo sandbox test engines sim fleets search model mutants fuzz soak check bench docs dist clean
.DEFAULT_GOAL := help

SEEDS ?= 100000
LIVENESS ?= 10000
FLEETS ?= 100000
SEARCH_SECONDS ?= 600
REQUESTS ?= 1000000
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
BINARY := target/$(HOST)/release/berth
DEBUG := target/$(HOST)/debug

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## boot an app against fake AWS services on loopback, without an account
	@tests/install build engine
	@tests/with-engine sh -c 'cargo build --locked --bins && exec cargo run --quiet --locked --bin sandbox -- demo'

sandbox: ## the same with a prompt: launch, inject faults, inspect
	@tests/install build engine
	@tests/with-engine sh -c 'cargo build --locked --bins && exec cargo run --quiet --locked --bin sandbox'

test: ## every test, with a real engine, a real registry and moto
	@tests/install build engine world package
	@tests/install-moto >/dev/null
	@tests/with-summary sh -c "tests/with-engine sh -c 'tests/images && tests/boot/image && exec cargo test --locked --workspace --no-fail-fast' && \
		tests/engines/part"

engines: ## the tests that need an engine on every engine, and the table of docs/support.md: ENGINES="sid podman" for some
	@tests/install build engine world
	@tests/engines/all $(ENGINES)

sim: ## the simulator, boot to exit in virtual time with seeded faults: SEEDS=n lives and LIVENESS=n in which the faults end, or SEED=n, HEALED=n to replay one
	@tests/install build
	@[ -n "$(HEALED)" ] || \
		SIM_SEEDS=$(SEEDS) SIM_SEED=$(SEED) cargo test --locked --profile sim -p berth-core --test traces life::seeds -- --exact --nocapture
	@[ -n "$(SEED)" ] || SIM_SEEDS=$(LIVENESS) SIM_SEED=$(HEALED) \
		cargo test --locked --profile sim -p berth-core --test traces life::healed_lives_get_on -- --exact --nocapture

fleets: ## fleets that release, in virtual time with seeded faults: FLEETS=n, or FLEET=n to replay one
	@tests/install build
	FLEETS=$(FLEETS) FLEET=$(FLEET) \
		cargo test --locked --profile sim -p berth-core --test traces fleets::every_fleet -- --nocapture

search: ## every life of the machine with few disturbances, to its end: SEARCH_SECONDS=n
	@tests/install build
	SEARCH_SECONDS=$(SEARCH_SECONDS) cargo test --locked --profile sim -p berth-core --test traces search::no_life -- --nocapture

model: ## every order of the steps of a release in a small fleet, also those that `make test` has no time for
	@tests/install build
	MODEL_SIZE=big cargo test --locked -p berth-release-model -- --nocapture

mutants: ## changes of agent/core since BASE=main that no test would notice, by cargo-mutants
	@tests/install build mutants
	@tests/mutants

soak: ## a fleet under load while instances, agents, engines and apps end: REQUESTS=n, SEED=n for another order
	@tests/install build engine world
	cargo build --locked --release -p berth
	SOAK_REQUESTS=$(REQUESTS) SOAK_SEED=$(SEED) BERTH_BIN=$$PWD/$(BINARY) \
		cargo test --locked --profile sim -p berth --test fleet soak:: -- --nocapture

fuzz: ## every input from outside, by libFuzzer: FUZZ_SECONDS=n for each target, TARGET=name for one, JOBS=n at a time
	@tests/install build fuzz
	@tests/fuzz/run

check: ## formatting, lints, scripts, units; every failure is listed
	@tests/install build lint
	@tests/with-summary tests/check

bench: ## berth compared with bash user-data and the bare engine: time, memory, calls; PARTS="boots idle" for some of it
	@tests/install build engine bench
	cargo build --locked --release -p berth
	cargo build --locked --workspace --bins
	@tests/with-engine env BERTH_BIN=$(BINARY) AWS_CLI=$$(tests/install-aws) $(DEBUG)/bench $(PARTS)
	@[ -n "$(PARTS)" ] || RESIDENT_POLLS=43200 cargo test --locked -q --workspace --test adapters resident:: -- --nocapture

docs: ## the pages as a site, into dist/site, by mdBook
	@tests/install build docs
	@packaging/site

dist: ## the release files, into dist/: static binaries, packages and sums for both architectures
	@tests/install build engine package cross
	@tests/with-engine packaging/dist

clean: ## remove everything built and cached here
	cargo clean
	rm -rf .cache dist
