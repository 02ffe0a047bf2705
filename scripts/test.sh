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

# Loopback only: no ROS 2 of the neighbourhood takes part.
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST

step "Rust, without ROS"
rust_tests --lib --bins --tests --examples
step "Rust, with ROS"
rust_tests --features ros --lib ros::
rust_tests --features ros --test 'ros_*'
step "examples in the documentation"
cargo test --locked --doc
step "the built programs, from Python"
python3 -m pytest -q tests/ros

# As root, or in a user namespace where that is allowed.
privileged=(env)
unshare --net true 2>/dev/null || privileged=(env ROVER_LINK_DEMO_INSIDE=1 unshare --user --map-root-user --net)
if refusal=$("${privileged[@]}" unshare --net ip tuntap add mode tun 2>&1); then
    step "a standard WebRTC peer: aiortc"
    aiortc=$PWD/.ros2/aiortc
    cmp -s tests/aiortc/requirements.txt "$aiortc/stamp" || {
        rm -rf "$aiortc"
        python3 -m venv "$aiortc"
        "$aiortc/bin/python" -m pip install -q --disable-pip-version-check -r tests/aiortc/requirements.txt
        cp tests/aiortc/requirements.txt "$aiortc/stamp"
    }
    ROVER_LINK_AIORTC_PYTHON=$aiortc/bin/python cargo test --locked --test aiortc -- --ignored --test-threads 1
    step "two rovers with emulated radios, from Python"
    cargo build --locked --example link_emulator
    "${privileged[@]}" python3 -m pytest -q tests/lab
else
    step "not tested: rovers with emulated radios, for no network namespace with a TUN device can be made ($refusal)"
fi
