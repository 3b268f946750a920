"""Rows E1 and E6: how many partitions, which topics are made by being used, how large a message may be."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from applications import applications, is_new
from rows import row, within
from sluice import check, eventually


@row("E1")
def partition_total(world):
    """Java clients of all brokers at once around the limit: as many get in as fit, and the others are told why."""
    limit = world.instance["spec"]["partitions"]
    names = [f"limit-{world.tag}-{n}" for n in range(7)]
    # Who is told to try again does; and brokers learn one after the other that a topic was made.
    passing = (b"can't be told now", b"does not exist as expected")
    said = lambda result: result.stdout + result.stderr

    def answered(*arguments):
        def decided():
            result = world.java("TopicCommand", *arguments, ok=False)
            return None if any(one in said(result) for one in passing) else result
        return eventually("an answer that counts", decided)

    def create(name, partitions, ok=True):
        result = answered("--create", "--topic", name, "--partitions", partitions)
        check(not ok or result.returncode == 0, f"{name} was not made: {said(result)[-300:]}")
        return result

    told = lambda result, more: f"asks for {more} more" in said(result).decode()

    def used():
        topics = json.loads(world.kcat("-L", "-J", tls=None).stdout)["topics"]
        return sum(len(t["partitions"]) for t in topics if not t["topic"].startswith("__"))

    words = [f"words-{world.tag}-{n}" for n in range(4)]
    try:
        for name in words:
            create(name, 3)
        create(names[0], limit - used() - 6)
        with ThreadPoolExecutor(4) as crowd:
            results = list(crowd.map(lambda name: create(name, 4, ok=False), names[1:5]))
        made = [name for name, result in zip(names[1:5], results) if result.returncode == 0]
        check(len(made) == 1, f"{len(made)} of 4 creations of 4 partitions got into room for 6")
        refusals = [result for result in results if result.returncode]
        check(all(told(result, 4) and b"PolicyViolationException" in said(result) for result in refusals),
              f"a refusal says {said(refusals[0])[-300:]}")
        grow = lambda partitions: answered("--alter", "--topic", made[0], "--partitions", partitions)
        beyond = grow(7)
        check(told(beyond, 3), f"adding partitions beyond the limit says {said(beyond)[-300:]}")
        check(grow(6).returncode == 0 and used() == limit, f"the last room was refused: {used()} of {limit} are used")
        check(told(create(names[5], 1, ok=False), 1), "one more than the limit was made")
        world.java("TopicCommand", "--delete", "--topic", made[0])
        create(names[6], 6)
        check(used() == limit, f"{used()} of {limit} are used")
        streams_applications(world, words, used, limit, names[6])
        check(used() == limit, f"{used()} of {limit} are used")
        used_up = f"used-{world.tag}-over"
        with auto_create(world):
            answer = world.kcat("-L", "-J", "-t", used_up)
            check(not topic(answer, used_up)["partitions"] and used() == limit, "a topic was made beyond the limit by being used")
    finally:
        for ours in ("limit", "words"):
            world.java("TopicCommand", "--delete", "--topic", f"{ours}-{world.tag}-.*", ok=False)
    switched = auto_create_switches(world)
    return f"exactly {limit}, Streams applications too; topics by being used, switched {within(switched)}; REST not yet"


def streams_applications(world, words, used, limit, filler):
    """Each needs six partitions more. Without room, all end with the reason and make nothing; in the room of `filler`, one of two runs."""
    told = "this instance may have"
    newer = "new" if is_new(world) else "classic"
    for name, why in applications(world, {words[0]: "classic", words[1]: newer}).items():
        check(why and "PolicyViolationException" in why and told in why, f"without room the application {name} ended with {why}")
    check(used() == limit, f"applications that were refused left {used()} of {limit}")
    world.java("TopicCommand", "--delete", "--topic", filler)
    if newer == "classic":
        became = applications(world, {words[2]: newer})
    else:
        became = applications(world, {words[2]: newer, words[3]: newer})
    reasons = [why for why in became.values() if why]
    check(list(became.values()).count(None) == 1 and all("needs 6 more for internal topics" in why for why in reasons), f"in the room for one: {became}")


def topic(answer, name):
    return next(t for t in json.loads(answer.stdout)["topics"] if t["topic"] == name)


@contextmanager
def auto_create(world):
    """On meanwhile."""
    name = world.instance["name"]
    world.sluice("access", "set", name, "--auto-create", "on")
    try:
        yield
    finally:
        world.sluice("access", "set", name, "--auto-create", "off")


def auto_create_switches(world):
    """Off: nothing is made, whatever a client lets. On: Java and librdkafka, by both ports, make topics by using them. Gives the time
    until a broker made one after the switch was asked for."""
    properties = world.java_properties("PLAIN", name="auto-create")
    names = [f"used-{world.tag}-{n}" for n in range(5)]
    exists = lambda name: name in {t["topic"] for t in json.loads(world.kcat("-L", "-J").stdout)["topics"]}

    missing = world.kcat("-P", "-t", names[0], "-X", "topic.metadata.propagation.max.ms=500", "-X", "message.timeout.ms=20000", stdin=b"lost\n", ok=False)
    check(b"nknown topic" in missing.stderr and not exists(names[0]), f"off, a producer heard {missing.stderr[-200:]}")
    processes = world.jvms()
    began = time.monotonic()
    answer = world.api("PATCH", world.path(f"instances/{world.instance['name']}/access"), {"auto_create_topics": True}, Idempotency_Key=str(uuid.uuid4()))
    check(answer.status == 202, f"the switch answered {answer.status} {answer.code}")
    while not exists(names[0]):
        world.kcat("-L", "-J", "-t", names[0], "-X", "allow.auto.create.topics=true")
        check(time.monotonic() - began < 10, "no topic was made within 10 s")
    took = time.monotonic() - began
    world.wait_job(answer.json["id"])
    try:
        for tls, name in ((None, names[1]), ("PLAIN", names[2])):
            world.kcat("-P", "-t", name, tls=tls, stdin=b"one\n")
            check(world.kcat("-C", "-t", name, "-e", "-q", "-o", "beginning", tls=tls).stdout == b"one\n", f"{name}: not read back")
        world.java("ConsoleProducer", "--topic", names[3], stdin=b"one\n")
        option = "--command-config" if world.instance["kafka_version"] >= "4.2" else "--consumer.config"
        ended = world.java("consumer.ConsoleConsumer", "--topic", names[4], "--timeout-ms", "10000", option, properties, way="private_sasl_ssl", ok=False)
        check(b"Processed a total of 0 messages" in ended.stdout + ended.stderr, f"a Java consumer said {ended.stderr[-300:]}")
        for name in names:
            # The list of all makes nothing, unlike a question for one.
            eventually(f"{name} is there", lambda: exists(name))
            described = topic(world.kcat("-L", "-J", "-t", name), name)["partitions"]
            check([len(p["replicas"]) for p in described] == [3, 3, 3], f"{name}: {described}")
    finally:
        world.sluice("access", "set", world.instance["name"], "--auto-create", "off")
        world.java("TopicCommand", "--delete", "--topic", f"used-{world.tag}-.*", ok=False)
    check(world.jvms() == processes, "a broker restarted")
    return took


@row("E6")
def message_size(world):
    topic, limit = f"size-{world.tag}", 10 * 1024 * 1024
    world.make_topic(topic, partitions=1)
    send = lambda size: world.kcat("-P", "-t", topic, "-X", "acks=all", "-X", "message.max.bytes=30000000", stdin=b"x" * size, ok=False)
    check(send(limit).returncode == 0, "a message of 10 MB was refused")
    larger = send(limit + 256 * 1024)
    check(larger.returncode != 0 and b"Message size too large" in larger.stderr, f"a larger one was not refused as such: {larger.stderr[-200:]}")
    grown = world.java("kafka.admin.ConfigCommand", "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "max.message.bytes=20000000", ok=False)
    check(b"above this instance's limit" in grown.stdout + grown.stderr, f"a topic may take more than was sold: {grown.stderr[-200:]}")
    back = world.kcat("-C", "-t", topic, "-e", "-q", "-X", "receive.message.max.bytes=100000000").stdout
    check(len(back.strip()) == limit, f"{len(back)} bytes came back")
    return "10 MiB goes through, more is MESSAGE_TOO_LARGE"
