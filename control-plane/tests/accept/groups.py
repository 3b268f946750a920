"""Row E3: the limit of consumer groups, watched from outside."""

import json
import struct
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from applications import applications, is_new
from rows import row
from sluice import PlainClient, check, run

OFFSET_COMMIT, FIND_COORDINATOR, DELETE_GROUPS = 8, 10, 42
POLICY_VIOLATION = 44
# No coordinator, another one, one that loads.
PASSING = (14, 15, 16)


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Groups:
    """Makes and deletes groups at every broker, of which the coordinator does it."""

    def __init__(self, world, topic):
        self.hosts = world.hosts
        self.topic = topic
        # Who asks first has the coordinators made.
        found = self.ask(FIND_COORDINATOR, 0, text("g"), lambda answer: struct.unpack(">h", answer[:2])[0])
        check(found == 0, f"looking for a coordinator is answered by error {found}")

    def ask(self, key, version, body, error):
        deadline = time.monotonic() + 30
        while True:
            for host in self.hosts:
                told = error(PlainClient.anonymous(host).answer(key, version, body))
                if told not in PASSING:
                    return told
            check(time.monotonic() < deadline, "no broker coordinates the group")

    def commit(self, group):
        """As somebody who is no member."""
        body = text(group) + struct.pack(">i", -1) + text("") + struct.pack(">qi", -1, 1) + text(self.topic) + struct.pack(">iiqh", 1, 0, 0, -1)
        return self.ask(OFFSET_COMMIT, 2, body, lambda answer: struct.unpack(">h", answer[-2:])[0])

    def delete(self, group):
        return self.ask(DELETE_GROUPS, 0, struct.pack(">i", 1) + text(group), lambda answer: struct.unpack(">h", answer[-2:])[0])


@row("E3")
def total(world):
    """Fills the instance up from many clients at once; then a consumer of each kind is told why."""
    name, limit = world.instance["name"], world.instance["spec"]["consumer_groups"]
    topic = f"grouped-{world.tag}"
    world.make_topic(topic, 1)
    world.kcat("-P", "-t", topic, stdin=b"one\n")
    groups = Groups(world, topic)
    used = lambda: world.api("GET", world.path(f"instances/{name}/usage")).json["groups"]
    check(groups.commit(f"g-{world.tag}-first") == 0, "the first group was refused")
    before = used()["used"]
    names = [f"g-{world.tag}-{n}" for n in range(limit + 20)]
    try:
        with ThreadPoolExecutor(8) as crowd:
            errors = list(crowd.map(groups.commit, names))
        made = [n for n, error in zip(names, errors) if error == 0]
        check(len(made) == limit - before, f"{len(made)} groups were made where {limit - before} had room")
        check(set(errors) == {0, POLICY_VIOLATION}, f"errors {set(errors)}")
        check(used() == {"used": limit, "limit": limit}, f"usage says {used()}")
        check(f"{limit} of {limit}" in world.sluice("instance", "usage", name).stdout.decode(), "the command line shows other figures")
        check(groups.commit(made[0]) == 0, "a group that exists was refused at the limit")
        java, librdkafka = java_member(world, topic), kcat_member(world, topic)
        streams_member(world, topic)
        check(groups.delete(made[1]) == 0 and groups.commit(f"g-{world.tag}-last") == 0, "a deletion made no room at once")
        check(groups.commit(made[1]) == POLICY_VIOLATION, "one more than the limit was made")
    finally:
        with ThreadPoolExecutor(8) as crowd:
            list(crowd.map(groups.delete, [*names, f"g-{world.tag}-first", f"g-{world.tag}-last"]))
    return f"exactly {limit}; consumers, share consumers and Streams of Java {java}, kcat {librdkafka}"


def java_member(world, topic):
    """Both of Java's protocols end with the reason."""
    for protocol in ("classic", "consumer"):
        group = f"late-{protocol}-{uuid.uuid4().hex[:6]}"
        ended = world.java("consumer.ConsoleConsumer", "--topic", topic, "--group", group, "--consumer-property", f"group.protocol={protocol}",
                           "--timeout-ms", "40000", ok=False)
        said = (ended.stdout + ended.stderr).decode()
        check("policy" in said.lower() or "consumer groups and has" in said, f"a Java consumer ({protocol}) heard {said[-600:]}")
    if is_new(world):
        ended = world.java("consumer.ConsoleShareConsumer", "--topic", topic, "--group", f"late-share-{uuid.uuid4().hex[:6]}", "--timeout-ms", "40000", ok=False)
        said = (ended.stdout + ended.stderr).decode()
        check("consumer groups and has" in said, f"a share consumer heard {said[-600:]}")
    return "ends with the reason"


def streams_member(world, topic):
    """An application ends with the reason before it makes anything."""
    if is_new(world):
        why = applications(world, {topic: "new"})[topic]
        check(why and "consumer groups and has" in why, f"an application of Kafka Streams ended with {why}")
        names = {t["topic"] for t in json.loads(world.kcat("-L", "-J").stdout)["topics"]}
        check(not any(name.startswith(f"{topic}-") for name in names), "a refused application made topics")


def kcat_member(world, topic):
    """Ends with the reason, too; what it asked until then is no storm."""
    ended = run("timeout", "20", "kcat", "-b", world.instance["bootstrap"]["private_plaintext"], "-G", f"late-{uuid.uuid4().hex[:6]}", topic,
                "-X", "debug=cgrp", ok=False)
    said = ended.stderr.decode()
    check("JoinGroup failed: Broker: Policy violation" in said, f"librdkafka heard {said[-600:]}")
    joins = said.count("JoinGroup response")
    check(joins < 20, f"librdkafka asked {joins} times")
    return "likewise"
