# The one menu. `make` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export SLUICE_HOME SLUICE_TOOLS SLUICE_LISTEN PROFILE DETACH

.PHONY: help up down status clean-data test lint unit clients accept bench soak docs generate deny

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## Build and start everything on this machine (DETACH=1 returns when ready)
	@scripts/up

down: ## Stop everything; data stays
	@scripts/down

status: ## What runs
	@scripts/status

clean-data: ## Stop everything and forget all data (asks; YES=1 does not)
	@scripts/clean-data

test: ## All tests
	@scripts/test

lint: ## Formatting, clippy, rustdoc
	@scripts/lint

unit: ## Rust tests only
	@scripts/prerequisites && cargo test --workspace --no-fail-fast

clients: ## Unchanged clients against a purchased instance, from outside
	@scripts/clients-of-an-order

accept: ## Walk the features from outside, against what `make up` started
	@scripts/accept

bench: ## Ratios against peers, in one run
	@scripts/bench

soak: ## What a commit could not wait for: PARTS="messages product"
	@scripts/soak

docs: ## Build the documentation
	@cd docs && npm ci --ignore-scripts --no-audit --no-fund && npm run build

generate: ## Write every generated file anew: OpenAPI, problem codes, CLI reference
	@scripts/generate

deny: ## Licences, sources and bans of all dependencies
	@scripts/deny
