# The commands of rover_link. `make` alone explains them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build demo test lab bench soak clean

# Passed on to the program that a target runs: make demo ARGS=--keep
ARGS ?=
# Played by the lab, so often, failing on times as well: make lab SCENARIO=tests/scenarios/5-s-up.toml RUNS=20 STRICT=1
SCENARIO ?=
RUNS ?= 1
STRICT ?= 0

help: ## Explain the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: system packages, ROS 2 where none is sourced, env.sh
	@scripts/setup.sh

build: setup ## Build the package into install/; then: . ./env.sh
	@scripts/build.sh

demo: build ## Show two rovers sharing topics and losing a radio, under a minute; ARGS=--keep leaves it running
	@. ./env.sh && exec python3 scripts/demo.py $(ARGS)

test: build ## Run all tests
	@scripts/test.sh

lab: build ## Do to emulated radios all that can befall them, or play SCENARIO=FILE...; RUNS=20 STRICT=1; writes target/lab.json
	@scripts/lab.sh play $(SCENARIO) --runs=$(RUNS) $(if $(filter-out 0,$(STRICT)),--strict) $(ARGS)

bench: build ## Measure the link under load beside plain DDS, half an hour; ARGS=--help; writes target/bench.json
	@. ./env.sh && exec python3 scripts/bench.py $(ARGS)

soak: build ## Load the link for an hour while networks fail at random, check messages, counters and memory, ARGS="--seconds=120 --seed=1"; writes target/soak.json
	@scripts/lab.sh soak $(ARGS)

clean: ## Remove what was built (the private ROS 2 in .ros2/ stays)
	rm -rf build install log target env.sh .ros2/build .ros2/interfaces
