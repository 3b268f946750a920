"""One line of the plan, and how its outcome is told to the runner: shared by all Python programs, standard library only."""

import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

# Most cases wait for a rebalance or a time-out, so some run at a time.
AT_A_TIME = 4
VALUE = b"compressible " * 80
_saying = threading.Lock()


class Case:
    def __init__(self, line: str):
        self.fields = dict(pair.split("=", 1) for pair in line.rstrip("\n").split("\t"))

    def __getattr__(self, key: str) -> str:
        return self.fields.get(key, "")

    @property
    def brokers(self) -> set[str]:
        return set(self.bootstrap.split(","))

    def trace(self, text: str) -> None:
        """A line of the transcript: nothing in it may differ between two runs."""
        self._say("trace", text)

    def _say(self, kind: str, text: str) -> None:
        with _saying:
            print(kind, self.id, " ".join(text.split()), sep="\t", flush=True)

    def run(self, scenarios: dict) -> None:
        began = time.monotonic()
        try:
            scenarios[self.scenario](self)
            self._say("ok", str(int((time.monotonic() - began) * 1000)))
        except BaseException as failure:
            traceback.print_exc()
            self._say("fail", f"{type(failure).__name__}: {failure}")


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def equal(expected, found, what: str) -> None:
    expect(expected == found, f"{what}: expected {expected}, found {found}")


def run_plan(scenarios: dict) -> None:
    cases = [Case(line) for line in sys.stdin if line.strip()]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(lambda case: case.run(scenarios), cases))
