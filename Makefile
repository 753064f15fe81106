# Each target sets up what it needs, then does it. The work is in tests/ and in cargo.
.PHONY: help demo sandbox test check dist clean
.DEFAULT_GOAL := help

TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
BINARY := target/$(TARGET)/release/berth

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## boot an app in a world on loopback, without an AWS account
	@tests/install build engine
	@tests/with-engine sh -c 'cargo build --locked --bins && exec cargo run --quiet --locked --bin sandbox -- demo'

sandbox: ## the same world with a prompt: launch, break things, look
	@tests/install build engine
	@tests/with-engine sh -c 'cargo build --locked --bins && exec cargo run --quiet --locked --bin sandbox'

test: ## every test, with a real engine, a real registry and moto
	@tests/install build engine world
	@tests/install-moto
	@tests/with-engine sh -c 'tests/images && exec cargo test --locked --workspace --no-fail-fast'

check: ## formatting, lints, scripts, units, licences; every failure is listed
	@tests/install build lint
	@tests/check

dist: ## the binary as it is shipped, its size, and that it is static
	@tests/install build
	cargo build --locked --release -p berth
	@stat -c '%n: %s bytes' $(BINARY)
	@file -L $(BINARY) 2>/dev/null || ldd $(BINARY)
	@! ldd $(BINARY) 2>/dev/null | grep -q '=>'

clean: ## remove what was built and cached here
	cargo clean
	rm -rf .cache
