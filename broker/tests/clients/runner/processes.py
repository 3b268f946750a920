"""Runs the client programs, a process a client, and gathers what they say.

A program reads its plan on standard input and writes, tab-separated, `trace ID TEXT`, `ok ID MILLISECONDS` or
`fail ID REASON`. A case that a program said nothing about has failed: none is skipped in silence.
"""

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .plan import Case


@dataclass
class Outcome:
    case: Case
    failure: str | None
    milliseconds: int = 0
    trace: list[str] = field(default_factory=list)

    def line(self) -> str:
        if self.failure is None:
            return f"ok    {self.case.name}  {self.milliseconds} ms"
        return f"FAIL  {self.case.name}: {self.failure}"


class Programs:
    """Client programs by name, run side by side, `jobs` at a time. What a case traces must be what `expected` has for it."""

    def __init__(self, commands: dict[str, list[str]], expected: dict[str, list[str]], password: str, logs: Path, jobs: int,
                 seconds: int):
        self._commands = commands
        self._expected = expected
        self._environment = {**os.environ, "KAFKA_PASSWORD": password}
        self._logs = logs
        self._jobs = jobs
        self._seconds = seconds
        self._printing = threading.Lock()

    def run(self, cases: list[Case]) -> list[Outcome]:
        by_client: dict[str, list[Case]] = {}
        for case in cases:
            by_client.setdefault(case.client, []).append(case)
        with ThreadPoolExecutor(self._jobs) as pool:
            outcomes = pool.map(self._run_client, by_client, by_client.values())
            return [outcome for some in outcomes for outcome in some]

    def _run_client(self, client: str, cases: list[Case]) -> list[Outcome]:
        log = self._logs / f"{client}.log"
        outcomes = {case.name: Outcome(case, "the program gave no answer") for case in cases}
        with log.open("w") as errors:
            process = subprocess.Popen(
                self._commands[client], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=self._environment, text=True,
            )
            watchdog = threading.Timer(self._seconds, process.kill)
            watchdog.start()
            try:
                process.stdin.write("".join(case.line() + "\n" for case in cases))
                process.stdin.close()
                for line in process.stdout:
                    self._hear(outcomes, line.rstrip("\n").split("\t", 2))
                process.wait()
            finally:
                watchdog.cancel()
                process.kill()
        silent = [o for o in outcomes.values() if o.failure == "the program gave no answer"]
        for outcome in silent:
            outcome.failure += f"; it ended with {process.returncode}, its log is {log}"
            self._print(outcome)
        return list(outcomes.values())

    def _hear(self, outcomes: dict[str, Outcome], said: list[str]) -> None:
        if len(said) != 3 or said[1] not in outcomes:
            return
        kind, name, text = said
        outcome = outcomes[name]
        if kind == "trace":
            outcome.trace.append(text)
        elif kind == "ok":
            outcome.failure, outcome.milliseconds = self._surprise(outcome), int(text)
            self._print(outcome)
        elif kind == "fail":
            outcome.failure = text
            self._print(outcome)

    def _surprise(self, outcome: Outcome) -> str | None:
        expected = self._expected.get(outcome.case.name, outcome.trace)
        return None if expected == outcome.trace else f"saw {outcome.trace}, where a plain Kafka shows {expected}"

    def _print(self, outcome: Outcome) -> None:
        with self._printing:
            print(outcome.line(), flush=True)
