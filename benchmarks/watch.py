"""Run `python ARGUMENTS`, and print what it took as JSON.

A small process of its own, because on Linux the peak of memory of a new process starts at that of the one that started
it, and a benchmark has torch and data in its memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

if __name__ == "__main__":
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)  # the only call that reports the memory of one command
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    json.dump({"seconds": seconds, "peak_bytes": peak_bytes, "output": output}, sys.stdout)
