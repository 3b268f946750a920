"""Applications of Kafka Streams, as `make clients` has them: each reads its own topic and makes a repartition topic and a changelog of as many partitions."""

import os
import sys
from pathlib import Path

from sluice import check, run

SOURCES = Path(__file__).resolve().parents[3] / "broker" / "tests" / "clients"


def applications(world, topics):
    """Runs one for each topic, in the group of the same name, all at once, where `topics` says by which protocol: "classic", or "new"
    (KIP-1071). What became of each: None, or why it ended. Its topics stay."""
    sys.path.insert(0, str(SOURCES))
    from runner.toolchains import Toolchains

    program = Toolchains(SOURCES, Path(os.environ["SLUICE_TOOLS"])).commands({"streams"})["streams"]
    bootstrap = world.instance["bootstrap"]["private_plaintext"]
    plan = "".join(f"id={topic}\tscenario=streams-{protocol}\ttopic={topic}\tbootstrap={bootstrap}\tpath=plaintext\tkeep=1\n" for topic, protocol in topics.items())
    ended = run(*program, stdin=plan.encode(), timeout=240)
    told = [line.split("\t") for line in ended.stdout.decode().splitlines()]
    became = {topic: None if kind == "ok" else why for kind, topic, why in told if kind in ("ok", "fail")}
    check(set(became) == set(topics), f"applications said {ended.stdout[-300:]} {ended.stderr[-600:]}")
    return became


def is_new(world):
    """Whether brokers know KIP-1071."""
    return world.instance["kafka_version"] >= "4.2"
