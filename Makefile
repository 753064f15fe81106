# Each target sets up what it needs, then does it. The work is in tests/ and in cargo.
.PHONY: help demo sandbox test engines sim fuzz soak check bench docs dist clean
.DEFAULT_GOAL := help

SEEDS ?= 100000
REQUESTS ?= 1000000
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
BINARY := target/$(HOST)/release/berth
DEBUG := target/$(HOST)/debug

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## boot an app in a world on loopback, without an AWS account
	@tests/install build engine
	@tests/with-engine sh -c 'cargo build --locked --bins && exec cargo run --quiet --locked --bin sandbox -- demo'

sandbox: ## the same world with a prompt: launch, break things, look
	@tests/install build engine
	@tests/with-engine sh -c 'cargo build --locked --bins && exec cargo run --quiet --locked --bin sandbox'

test: ## every test, with a real engine, a real registry and moto
	@tests/install build engine world package
	@tests/install-moto >/dev/null
	@tests/with-summary sh -c "tests/with-engine sh -c 'tests/images && tests/boot/image && exec cargo test --locked --workspace --no-fail-fast' && \
		tests/engines/part"

engines: ## what needs an engine on every engine that users have, and the table of docs/support.md: ENGINES="sid podman" for some
	@tests/install build engine world
	@tests/engines/all $(ENGINES)

sim: ## whole lives in virtual time with seeded faults: SEEDS=n lives, or SEED=n to replay one
	@tests/install build
	SIM_SEEDS=$(SEEDS) SIM_SEED=$(SEED) cargo test --locked --profile sim -p berth-core --test traces life::seeds -- --exact --nocapture

soak: ## a fleet under load while instances, agents, engines and apps go: REQUESTS=n, SEED=n for another order
	@tests/install build engine world
	cargo build --locked --release -p berth
	SOAK_REQUESTS=$(REQUESTS) SOAK_SEED=$(SEED) BERTH_BIN=$$PWD/$(BINARY) \
		cargo test --locked --profile sim -p berth --test fleet soak:: -- --nocapture

fuzz: ## what berth reads from others, by libFuzzer: FUZZ_SECONDS=n for each target, TARGET=name for one, JOBS=n at a time
	@tests/install build fuzz
	@tests/fuzz/run

check: ## formatting, lints, scripts, units; every failure is listed
	@tests/install build lint
	@tests/with-summary tests/check

bench: ## berth beside the bash that it replaces and the bare engine: time, memory, calls; PARTS="boots idle" for some of it
	@tests/install build engine bench
	cargo build --locked --release -p berth
	cargo build --locked --workspace --bins
	@tests/with-engine env BERTH_BIN=$(BINARY) AWS_CLI=$$(tests/install-aws) $(DEBUG)/bench $(PARTS)
	@[ -n "$(PARTS)" ] || RESIDENT_POLLS=43200 cargo test --locked -q --workspace --test adapters resident:: -- --nocapture

docs: ## the pages as a site, into dist/site, by mdBook
	@tests/install build docs
	@packaging/site

dist: ## what is shipped, into dist/: static binaries, packages and sums for both architectures
	@tests/install build engine package cross
	@tests/with-engine packaging/dist

clean: ## remove what was built and cached here
	cargo clean
	rm -rf .cache dist
