#!/usr/bin/env bash
# Loads the link between two rovers for long; see tests/lab/soak.py --help. Run scripts/build.sh first, or: make soak
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=/dev/null
. ./env.sh
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

cargo build --quiet --locked --example link_emulator
exec python3 tests/lab/soak.py "$@"
