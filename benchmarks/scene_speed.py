"""Time and memory of registering one scene of 1024 × 1024 px, as a whole process: Python, model and files included.

    python benchmarks/scene_speed.py [--size 1024] [--runs 5] [--model default|none]

The scene is simulated; every run is a fresh process with ``midground register OPTICAL SAR --json -``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from midground.simulate.scene import simulate_scene_pair


def main() -> None:
    """Print median, spread and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", default="default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pair = simulate_scene_pair(Path(folder), seed=7, size_px=arguments.size)
        command = [sys.executable, "-m", "midground", "register", str(pair.optical), str(pair.sar)]
        command += ["--json", "-", "-q", "--model", arguments.model]
        seconds, memory_mb, stages = [], [], {}
        for _ in range(arguments.runs):
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            output = process.stdout.read() if process.stdout else b""
            _, status, usage = os.wait4(process.pid, 0)
            seconds.append(time.perf_counter() - start)
            if os.waitstatus_to_exitcode(status) != 0:
                raise SystemExit("The registration failed.")
            memory_mb.append(usage.ru_maxrss / 1024)
            stages = json.loads(output)["timings_s"]
    print(f"size {arguments.size} px, model {arguments.model}, {os.cpu_count()} processors, {arguments.runs} runs")
    print(f"wall: median {statistics.median(seconds):.1f} s, {min(seconds):.1f} to {max(seconds):.1f} s")
    print(f"peak memory: median {statistics.median(memory_mb):.0f} MB, largest {max(memory_mb):.0f} MB")
    print("last run, s: " + ", ".join(f"{stage} {value:.1f}" for stage, value in stages.items()))


if __name__ == "__main__":
    main()
