"""What was bought, at its limits: bandwidth, and a disk that is filled and freed."""

import time

from bought import LINE, Bought, busy, produced, producer, slowed, undisturbed_group
from ledger import percentile
from sluice import check, eventually, run

# What a round adds while the oldest goes.
MORE = 20
# Of each measurement: ten minutes in all.
SECONDS = 75


def bandwidth(world, most):
    """1, 10 and 50 clients as fast as they can: the limit both ways, evenly; also for an instance beside one that is at its limit. No group is rebalanced."""
    said = []

    def held(bought, connections, who=""):
        for way, (of_share, fairness) in slowed(bought, "load", connections, SECONDS).items():
            check(0.9 < of_share < 1.05, f"{of_share:.3f} of the share went {way} at {connections} connections{who}")
            check(fairness > 0.9, f"fairness {way} is {fairness:.3f} at {connections} connections{who}")
            said.append(f"{connections} {way}{who} {of_share * 100:.1f} % ({fairness:.3f})")

    with Bought(world, 15) as bought:
        bought.make_topic("load", "--partitions", "1", "--replication-factor", "1")
        with undisturbed_group(bought):
            for connections in (number for number in (1, 10, 50) if number <= most):
                held(bought, connections)
            with Bought(world, 15) as neighbour:
                neighbour.make_topic("load", "--partitions", "1", "--replication-factor", "1")
                with busy([producer(bought, "load", 200_000_000)] * 10):
                    held(neighbour, 10, " beside it")
    return f"of the limit, and Jain's index: {', '.join(said)}; no rebalance"


def kept_of(held, threshold):
    """What is left in records, at least: a tenth goes only while the disk is full. What lies beside records is 3 % of that, whole segments 2."""
    while held >= threshold * 0.97:
        held *= 0.9
    return held * 0.98


def full_disk(world, cycles):
    """Filled until records are refused, read, freed by `auto-delete` while producing goes on, again and again."""
    refused_after, over, kept, dropped = [], [], [], 0
    with Bought(world, 600) as bought:
        broker = bought.get("")["brokers"][0]["id"]
        bought.make_topic("log", "--replica-assignment", broker, "--config", "segment.bytes=1048576")
        here = lambda: next(one for one in bought.get("/capacity")["brokers"] if one["broker_id"] == broker)
        # A hundredth of the disk is what one machine can fill fifty times.
        rule = lambda policy: world.sluice("capacity", "set", bought.name, "--policy", policy, "--threshold", "1")
        bounds = lambda: tuple(int(run(*bought.kcat("-Q", "-t", f"log:0:{end}")).stdout.split()[-1]) for end in (-2, -1))
        threshold = here()["disk_bytes"] // 100

        for number in range(cycles):
            rule("produce-limited")
            eventually("nothing is left of the last round", lambda: here()["state"] == "normal")
            began = time.monotonic()
            while produced(bought, "log", 20).returncode == 0:
                crossed = here()["used_bytes"] > threshold
                check(not crossed or time.monotonic() - began < 120, "records are taken for ever")
                began = time.monotonic() if not crossed else began
            refused_after.append(time.monotonic() - began)
            full = eventually("the state says so", lambda: (now := here())["state"] == "produce-limited" and now)
            over.append(full["used_bytes"] - threshold)
            check(over[-1] < full["disk_bytes"] * 3 // 100, f"{full['used_bytes']} bytes are used at a threshold of {threshold}")
            first, end = bounds()
            read = run(*bought.kcat("-C", "-t", "log", "-p", 0, "-o", "beginning", "-e", "-q", "-f", "%o\n"), timeout=300).stdout.split()
            check([int(read[0]), int(read[-1]), len(read)] == [first, end - 1, end - first], f"{len(read)} of {end - first} records were read in round {number}")

            rule("auto-delete")
            eventually("records are taken again", lambda: produced(bought, "log", MORE).returncode == 0)
            eventually("the oldest is dropped", lambda: bounds()[0] > first, 90)
            eventually("there is room", lambda: here()["state"] == "normal", 120)
            oldest, newest = bounds()
            kept.append((newest - oldest) * LINE)
            least = min(kept_of((end - first) * LINE + more, threshold) for more in (0, MORE * 1_000_000))
            check(least < kept[-1] < threshold, f"{kept[-1]} bytes of records were kept in round {number}, and {least} to {threshold} should be")
            dropped += oldest - first
    return (f"{cycles} times full at {threshold // 1_000_000} MB: refused within {max(refused_after):.1f} s (with a producer of 20 MB at a time), p50 {percentile(refused_after, 0.5):.1f}, "
            f"at most {max(over) // 1_000_000} MB over it, all read; {dropped} records dropped, the oldest, and at least {min(kept) // 1_000_000} MB kept")
