"""G11 to G13 and the order: what the control plane does a second, against Postgres alone; how long an order takes, by step."""

import json
import os
import re
import statistics
import subprocess
import time
import urllib.request
from datetime import datetime
from pathlib import Path

from measure import table
from rig import sh

ROOT = Path(__file__).resolve().parents[2]
LISTEN = "127.0.0.1:18080"


class Stack:
    """A Sluice of its own, as `make up` starts it."""

    def __init__(self, work, driver):
        self.home = work / f"home-{driver}"
        self.environment = {**os.environ, "SLUICE_HOME": str(self.home), "SLUICE_LISTEN": LISTEN, "DETACH": "1", "PROFILE": "release",
                            "SLUICE_DRIVER_KIND": driver, "SLUICE_LIMITS__REQUESTS_PER_MINUTE": "0", "SLUICE_CONFIG_DIR": str(self.home / "cli")}

    def __enter__(self):
        self.make("up")
        return self

    def __exit__(self, *_):
        self.make("clean-data")

    def make(self, script):
        subprocess.run([ROOT / "scripts" / script], check=True, env={**self.environment, "YES": "1"}, stdout=subprocess.DEVNULL)

    def sluice(self, *arguments):
        return sh(self.home / "bin" / "sluice", *arguments, env=self.environment)

    def token(self):
        credentials = dict(line.split(": ", 1) for line in (self.home / "credentials").read_text().splitlines() if ": " in line)
        body = json.dumps({"grant_type": "password", "email": credentials["email"], "password": credentials["password"]}).encode()
        request = urllib.request.Request(f"http://{LISTEN}/v1/auth/token", body, {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))["access_token"]


def seconds(start, end):
    parse = lambda text: datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (parse(end) - parse(start)).total_seconds()


def order(stack, name):
    """Buys an instance; seconds from the order to the end of each step, and to the job's end."""
    arguments = ("--spec", "100", "--storage", "600", "--disk", "high", "--yes", "--no-wait", "-o", "json")
    job = json.loads(stack.sluice("instance", "create", name, *arguments))
    while not (job := json.loads(stack.sluice("job", "get", job["id"], "-o", "json")))["ended_at"]:
        time.sleep(0.5)
    if job["state"] != "succeeded":
        raise SystemExit(f"bench: the order failed: {job['problem']}")
    steps = {step["name"]: seconds(step["started_at"], step["ended_at"]) for step in job["steps"]}
    first = seconds(job["created_at"], job["steps"][0]["started_at"])
    # The canary's write is acknowledged within the step `verify`: its end is the upper bound of the first acknowledged write.
    verified = next(step["ended_at"] for step in job["steps"] if step["name"] == "verify")
    stack.sluice("instance", "delete", name, "--yes", "--wait")
    return {"queue": first, **steps, "order → first acknowledged write": seconds(job["created_at"], verified)}


def orders(work, rounds):
    with Stack(work, "local") as stack:
        runs = [order(stack, f"bench-{number}") for number in range(rounds + 1)][1:]
    medians = {step: statistics.median(run[step] for run in runs) for step in runs[0]}
    table(f"an order of three brokers, warm, seconds, medians of {rounds}", ["step", "seconds"], [[s, f"{v:.2f}"] for s, v in medians.items()])
    total = medians["order → first acknowledged write"]
    return [["order", "order accepted → first acknowledged write, s", f"{total:.1f}", "≤ 10", ""]]


def point_reads(stack, duration):
    """pgbench -S in the same Postgres, with as many clients as wrk has connections."""
    port = (stack.home / "postgres" / "port").read_text().strip()
    binaries = Path(sh(ROOT / "scripts" / "postgres", "binaries", env=stack.environment).strip())
    password = (stack.home / "secrets" / "postgres-superuser").read_text().strip()
    environment = {**os.environ, "PGPASSWORD": password}
    connection = ["-h", "127.0.0.1", "-p", port, "-U", "postgres"]
    sh(binaries / "createdb", *connection, "bench", env=environment)
    sh(binaries / "pgbench", *connection, "-i", "-q", "-s", "1", "bench", env=environment)
    output = sh(binaries / "pgbench", *connection, "-S", "-M", "prepared", "-c", "8", "-j", "2", "-T", str(duration), "bench", env=environment)
    return float(re.search(r"tps = ([\d.]+)", output).group(1))


def wrk(url, token, duration, connections):
    output = sh("wrk", "-t1", f"-c{connections}", f"-d{duration}s", "--latency", "-H", f"Authorization: Bearer {token}", url)
    to_ms = lambda value, unit: float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    p99 = to_ms(*re.search(r"99%\s+([\d.]+)(us|ms|s)", output).groups())
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1)), p99, int(errors.group(1)) if errors else 0


def point_reads_and_requests(work, quick):
    duration = 5 if quick else 20
    goals = []
    with Stack(work, "simulation") as stack:
        stack.sluice("instance", "create", "read-often", "--spec", "100", "--storage", "600", "--disk", "high", "--yes", "--wait")
        instance = json.loads(stack.sluice("instance", "get", "read-often", "-o", "json"))["id"]
        project = json.loads(stack.sluice("project", "list", "-o", "json"))[0]["id"]
        url = f"http://{LISTEN}/v1/projects/{project}/instances/{instance}"
        token = stack.token()
        wrk(url, token, 2, 8)
        reads, ratios = point_reads(stack, duration), []
        for _ in range(1 if quick else 3):
            rate, p99, errors = wrk(url, token, duration, 8)
            ratios.append(rate / reads)
        note = f"{rate:.0f}/s of {reads:.0f}/s; p99 {p99:.1f} ms under full load" + (f"; {errors} refused" if errors else "")
        goals.append(["G11", "GET by id ÷ pgbench -S", f"{statistics.median(ratios):.2f}", "≥ 0.20", note])
    return goals


def engine():
    """The engine alone on a Postgres of its own: the measurement that lies with its tests."""
    output = sh("cargo", "test", "--release", "--quiet", "-p", "control-plane", "--test", "it", "--", "--ignored", "jobs::speed",
                "--nocapture", cwd=ROOT)
    figure = lambda name: float(re.search(rf"{name}: ([\d.]+)", output).group(1))
    jobs, claims = figure("one-step jobs a second"), figure("single claims a second")
    return [
        ["G12", "order committed → first step starts, p50 ms", f"{figure('first step p50 ms'):.1f}", "≤ 4", ""],
        ["G12", "order committed → first step starts, p99 ms", f"{figure('first step p99 ms'):.1f}", "≤ 20", ""],
        ["G13", "one-step jobs a second ÷ single claims", f"{jobs / claims:.2f}", "≥ 0.4", f"{jobs:.0f}/s of {claims:.0f}/s"],
    ]


def run(work, binaries, quick):
    return point_reads_and_requests(work, quick) + engine() + orders(work, 2 if quick else 5)
