"""Processes and what they cost: CPU seconds and memory from /proc, medians over interleaved rounds."""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid):
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def load_average():
    return os.getloadavg()[0]


def wait_for(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"bench: {what} did not happen in {seconds} s")
        time.sleep(0.05)


def listening(host, port):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


class Processes:
    """Children of the benchmark; all of them are ended with it."""

    def __init__(self, logs):
        self.logs = Path(logs)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.running = []

    def start(self, name, command, pin=None, **kwargs):
        if pin is not None and shutil.which("taskset"):
            command = ["taskset", "-c", str(pin), *command]
        log = open(self.logs / f"{name}.log", "wb")
        kwargs.setdefault("stdout", log)
        process = subprocess.Popen([str(part) for part in command], stderr=log, **kwargs)
        self.running.append(process)
        return process

    def stop(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.remove(process)

    def stop_all(self):
        for process in list(reversed(self.running)):
            self.stop(process)


def interleaved(cases, rounds, warm_up, run):
    """Runs every case once a round, in turn; returns the medians of each case's figures."""
    samples = {case: [] for case in cases}
    for number in range(warm_up + rounds):
        for case in cases:
            figures = run(case)
            if number >= warm_up:
                samples[case].append(figures)
        print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return {
        case: {key: statistics.median(figures[key] for figures in runs) for key in runs[0]}
        for case, runs in samples.items()
    }


def table(title, header, rows):
    print(f"\n{title}")
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())
