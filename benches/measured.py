"""Runs a module as a program and reports the process's own peak memory to a file descriptor.

What wait4 reports of a child starts from the memory of the process that spawned it (Linux, exec_mmap), so
a large parent would hide a small child; VmHWM starts anew.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path


def peak_kib() -> int:
    """The most memory this process has had resident, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("this system does not tell a process its peak memory")


if __name__ == "__main__":
    report, module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        os.write(int(report), str(peak_kib()).encode())
