#!/usr/bin/env bash
# Builds the package with colcon into install/. Run scripts/setup.sh first, or: make build
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# ROS 2 alone, not env.sh: an older build of this package must not take part in the new one.
# shellcheck source=/dev/null
. .ros2/ros.sh
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

exec colcon build --packages-select rover_link --event-handlers console_direct+ console_stderr- \
    --cmake-args -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_MESSAGE=LAZY -Wno-dev --no-warn-unused-cli
