#!/usr/bin/env bash
# Runs a program of the lab, play or soak, with options of its own; see tests/lab/play.py --help and tests/lab/soak.py
# --help. Run scripts/build.sh first, or: make lab, make soak
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=/dev/null
. ./env.sh
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

cargo build --quiet --locked --example link_emulator
exec python3 "tests/lab/$1.py" "${@:2}"
