#!/usr/bin/env bash
# Runs all tests: Rust without and with ROS, the examples in the documentation, and Python against the built programs.
# Run scripts/build.sh first, or: make test
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=/dev/null
. ./env.sh
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

step() { printf '\033[1m[test]\033[0m %s\n' "$*"; }

rust_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked "$@"
    else
        cargo test --locked "$@"
    fi
}

step "Rust, without ROS"
rust_tests --lib --bins --tests
step "Rust, the library with ROS"
rust_tests --features ros --lib
step "examples in the documentation"
cargo test --locked --doc
step "the built programs, from Python"
# Domains of their own and loopback only: no ROS 2 of the neighbourhood takes part.
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
python3 -m pytest -q tests/ros
