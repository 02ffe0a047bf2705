#!/usr/bin/env bash
# Plays scenarios in the lab; see tests/lab/play.py --help. Run scripts/build.sh first, or: make lab
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=/dev/null
. ./env.sh
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

cargo build --quiet --locked --example link_emulator
exec python3 tests/lab/play.py "$@"
