#!/usr/bin/env bash
# Runs all tests: Rust without and with ROS, the examples in the documentation, and Python against the built programs.
# Run scripts/build.sh first, or: make test
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=/dev/null
. ./env.sh
# Debian keeps some of what the lab uses in folders that only root looks into.
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/sbin:/sbin"

step() { printf '\033[1m[test]\033[0m %s\n' "$*"; }

rust_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked "$@"
    else
        cargo test --locked "$@"
    fi
}

has() { command -v "$1" >/dev/null; }

# What the lab's internet is made of. Prints the Debian packages that are missing, one a line.
missing_packages() {
    has nft || echo nftables
    has conntrack || echo conntrack
    has turnserver || echo coturn
}

# Installs them, or prints why it cannot.
install_missing_packages() {
    local packages privileged=()
    packages=$(missing_packages)
    [[ -n $packages ]] || return 0
    mapfile -t packages <<<"$packages"
    local command="apt-get install -y --no-install-recommends ${packages[*]}"
    has apt-get || { echo "missing: ${packages[*]} (names as in Debian)"; return 1; }
    if [[ $(id -u) != 0 ]]; then
        sudo -n true 2>/dev/null ||
            { echo "missing, and no right to install: sudo apt-get update && sudo $command"; return 1; }
        privileged=(sudo -n)
    fi
    "${privileged[@]}" apt-get update -qq >&2 || true
    # Nothing is to run because of this, now or when the machine starts: the tests start a TURN server of their own.
    local service=(systemctl)
    [[ -d /run/systemd/system && ${packages[*]} == *coturn* ]] || service=(true)
    "${privileged[@]}" "${service[@]}" mask --runtime coturn.service >&2
    local is_done=true
    "${privileged[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 $command >&2 || is_done=false
    "${privileged[@]}" "${service[@]}" unmask --runtime coturn.service >&2
    "${privileged[@]}" "${service[@]}" disable coturn.service >&2 || true
    $is_done || { echo "could not be installed: sudo apt-get update && sudo $command"; return 1; }
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
    internet_tests=(tests/lab/test_{internet,nat,turn}.py)
    if reason=$(install_missing_packages && "${privileged[@]}" unshare --net nft add table inet probe 2>&1); then
        "${privileged[@]}" python3 -m pytest -q tests/lab
    else
        "${privileged[@]}" python3 -m pytest -q tests/lab "${internet_tests[@]/#/--ignore=}"
        step "not tested: rovers behind NAT, and TURN ($reason)"
    fi
else
    step "not tested: rovers with emulated radios, for no network namespace with a TUN device can be made ($refusal)"
fi
