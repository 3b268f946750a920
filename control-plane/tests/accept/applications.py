"""Applications of Kafka Streams, as `make clients` has them: each reads its own topic and makes a repartition topic and a changelog of as many partitions."""

from clients import program
from sluice import check, run


def applications(world, topics):
    """Runs one for each topic, in the group of the same name, all at once, where `topics` says by which protocol: "classic", or "new"
    (KIP-1071). What became of each: None, or why it ended. Its topics stay."""
    bootstrap = world.instance["bootstrap"]["private_plaintext"]
    plan = "".join(f"id={topic}\tscenario=streams-{protocol}\ttopic={topic}\tbootstrap={bootstrap}\tpath=plaintext\tkeep=1\n" for topic, protocol in topics.items())
    ended = run(*program("streams"), stdin=plan.encode(), timeout=240)
    told = [line.split("\t") for line in ended.stdout.decode().splitlines()]
    became = {topic: None if kind == "ok" else why for kind, topic, why in told if kind in ("ok", "fail")}
    check(set(became) == set(topics), f"applications said {ended.stdout[-300:]} {ended.stderr[-600:]}")
    return became


def is_new(world):
    """Whether brokers know KIP-1071."""
    return world.instance["kafka_version"] >= "4.2"
