"""`make bench`: ratios against peers, in one run on this machine.

QUICK=1 takes minutes less and proves less. Refuses to start on a busy machine: its figures would be noise.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import control_plane
import data_path
import replication
from measure import load_average, table
from rig import Rig


def main():
    quick = os.environ.get("QUICK") == "1"
    for _ in range(60):
        if load_average() <= 1.5:
            break
        time.sleep(2)
    else:
        sys.exit(f"bench: the machine is busy (load average {load_average():.1f}); its figures would be noise")
    binaries, tools = Path(os.environ["SLUICE_BINARIES"]), Path(os.environ["SLUICE_TOOLS"])
    parts = sys.argv[1:] or ["data-path", "connections", "replication", "control-plane"]
    goals = []
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as work:
        if "data-path" in parts or "connections" in parts:
            rig = Rig(work, tools, binaries)
            try:
                data_path.start(rig)
                if "data-path" in parts:
                    goals += data_path.run(rig, quick)
                if "connections" in parts:
                    goals += data_path.connections(rig, quick)
            finally:
                rig.processes.stop_all()
        if "replication" in parts:
            goals += replication.run(Path(work), tools, binaries, quick)
        if "control-plane" in parts:
            goals += control_plane.run(Path(work), binaries, quick)
    table("goals", ["id", "metric", "figure", "goal", "beside it"], goals)
    print(f"\nload average at the end {load_average():.1f}, {os.cpu_count()} cores")


main()
