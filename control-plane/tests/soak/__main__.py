"""What must not break, for long, from outside, against what `make up` started: `make soak PARTS=product`.

`soak [ID[=TIMES]…]` runs those tests of docs/develop/reliability only. SCALE=small is the form of each that `make test` runs. A
line a test, with its figure; the last line counts them.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "accept"))

import changes
import crowds
import gateways
import hostile
import limits
import partitions
import strangers
from sluice import World

# id: what runs, how often at most and in the small form; none where a row of acceptance is that
TESTS = {
    "D2": (gateways.killed_under_load, 100, 3),
    "D5": (changes.certificates, 200, 3),
    "D6": (changes.switches, 100, 2),
    "D7": (gateways.leaders_move, 3_000, 72),
    "D8": (gateways.drained_under_load, 50, 3),
    "P1": (partitions.at_the_limit, 1_000, 3),
    "P2": (crowds.connections, 100_000, 1_500),
    "P3": (limits.bandwidth, 50, None),
    "P4": (limits.full_disk, 50, None),
    "F2": (hostile.frames, 1_000_000, 3_000),
    "F3": (hostile.slow_peers, 5_000, 300),
    "S9": (strangers.instance_against_instance, 1, 1),
}


def main():
    small = os.environ.get("SCALE") == "small"
    chosen = sys.argv[1:] or [one for one, (_, _, little) in TESTS.items() if little or not small]
    wanted = [(identifier, times) for identifier, _, times in (one.partition("=") for one in chosen)]
    for identifier, times in wanted:
        if identifier not in TESTS:
            sys.exit(f"there is no {identifier}; there are {' '.join(TESTS)}")
        if times and not (times.isdecimal() and 1 <= int(times) <= TESTS[identifier][1]):
            sys.exit(f"{identifier}={times}: how often is a number from 1 to {TESTS[identifier][1]}")
    world, passed = World(), 0
    try:
        for identifier, times in wanted:
            test, much, little = TESTS[identifier]
            count = int(times) if times else little if small and little else much
            began = time.monotonic()
            try:
                said, state = test(world, count), "held"
                passed += 1
            except Exception as error:  # one that breaks has failed; the others run
                said, state = f"{type(error).__name__}: {error}", "FAILED"
            print(f"{identifier:3} {state:6} {time.monotonic() - began:6.1f} s  {said}", flush=True)
    finally:
        world.close()
    print(f"soak: {passed} passed, {len(wanted) - passed} failed")
    sys.exit(passed < len(wanted))


main()
