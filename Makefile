# Apolo Secrets for Kubernetes. `make help` lists what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The Kubernetes that tests, soak, demo and cluster run on: a folder of tests/cluster/kubernetes.
K8S ?= 1.36.3
export K8S
CARGO ?= cargo

.PHONY: help build image test soak lint fmt generate verify bench demo cluster clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  K8S=VERSION chooses the Kubernetes of test, soak, demo and cluster: $(notdir $(wildcard tests/cluster/kubernetes/*))"

build: ## Build everything
	$(CARGO) build --locked --workspace --all-targets

image: ## Make the container image, without a container engine (docker build . makes the same)
	tests/image

test: ## Run all tests; those on a real API server start one
	tests/run

soak: ## Have a storm of ten minutes on a control plane of its own (SOAK='--minutes 1 --seed 7')
	$(CARGO) build --locked --quiet --package apolo-secrets --package apolo-tests --bins
	target/debug/soak $(SOAK)

lint: ## Check format, lints, the chart and, where cargo-deny is installed, the dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	tests/lint-chart
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check --hide-inclusion-graph bans licenses sources; \
	else echo "skipped: cargo deny (not installed: cargo install --locked cargo-deny)"; fi

fmt: ## Format the sources
	$(CARGO) fmt --all

generate: ## Write the files that are made from others (manifests, docs/reference, docs/EXAMPLES.md, of the chart, tests/chart/golden)
	$(CARGO) build --locked --quiet --package apolo-secrets --package apolo-cli --bins
	APOLO_GENERATE=1 $(CARGO) test --locked --quiet --package apolo-tests --test documents
	APOLO_GENERATE=1 $(CARGO) test --locked --quiet --package apolo-tests --test renderings

verify: ## Check that the generated files are up to date
	$(CARGO) test --locked --quiet --package apolo-tests --test documents --test renderings

bench: ## Print the figures of docs/BENCHMARKS.md
	crates/apolo-bench/run

demo: ## Show the main job done, on a Kubernetes that is started for it
	tests/demo/run

cluster: ## Start a control plane with webhook and controller for trying things by hand (CLUSTER=--node: and a node)
	$(CARGO) build --locked --quiet --package apolo-secrets --package apolo-tests --bins
	target/debug/cluster up $(CLUSTER)

clean: ## Remove what was built here (the servers of the test cluster stay in the cache)
	$(CARGO) clean
