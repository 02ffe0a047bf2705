"""Repairs what is broken in the ROS 2 wheels of the private prefix. Run it with the prefix's own python.

It may run any number of times: each repair looks whether it is still needed.
"""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy

PREFIX = Path(sys.prefix)


def link_rmw_implementation() -> None:
    """The wheels lack the library that picks a middleware at run time; the only middleware there takes its place."""
    link = PREFIX / "lib/librmw_implementation.so"
    if not link.exists():
        link.symlink_to("librmw_fastrtps_cpp.so")


def drop_python_dependencies() -> None:
    """Three C libraries ask for the Python message libraries, which only load inside a Python process."""
    patchelf = PREFIX / "bin/patchelf"
    for name in ("librcl.so", "librcl_action.so", "librcl_lifecycle.so"):
        library = PREFIX / "lib" / name
        needed = subprocess.run(
            [patchelf, "--print-needed", library], check=True, capture_output=True, text=True
        ).stdout.split()
        for dependency in needed:
            if dependency.endswith("__rosidl_generator_py.so"):
                subprocess.run([patchelf, "--remove-needed", dependency, library], check=True)


def correct_include_folders() -> None:
    """Some CMake files name Python's and numpy's headers where the machine that built the wheels had them."""
    python_include = sysconfig.get_path("include")
    numpy_include = numpy.get_include()
    for file in PREFIX.glob("share/*/cmake/*.cmake"):
        text = file.read_text()
        corrected = re.sub(r"/opt/python/[^;\"]*/numpy/_?core/include", numpy_include, text)
        corrected = re.sub(r"/opt/python/[^;\"]*/include/python3\.\d+", python_include, corrected)
        if corrected != text:
            file.write_text(corrected)


def keep_numpy_out_of_exports() -> None:
    """CMake refuses to install a target whose public include folders lie in the source tree, as this prefix does."""
    file = PREFIX / "share/rosidl_generator_py/cmake/rosidl_generator_py_generate_interfaces.cmake"
    text = file.read_text()
    public = "PUBLIC ${Python3_INCLUDE_DIRS} ${Python3_NumPy_INCLUDE_DIRS})"
    build_only = 'PUBLIC ${Python3_INCLUDE_DIRS} "$<BUILD_INTERFACE:${Python3_NumPy_INCLUDE_DIRS}>")'
    file.write_text(text.replace(public, build_only))


if __name__ == "__main__":
    link_rmw_implementation()
    drop_python_dependencies()
    correct_include_folders()
    keep_numpy_out_of_exports()
