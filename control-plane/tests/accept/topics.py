"""Rows E1 and E6: topics by every way in, how many partitions, which topics are made by being used, how large a message may be."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from applications import applications, is_new
from raw_topics import PASSING, POLICY_VIOLATION, RawTopics
from rows import refused, row, within
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
        used_up = f"used-{world.tag}-over"
        with auto_create(world):
            answer = world.kcat("-L", "-J", "-t", used_up)
            check(not topic(answer, used_up)["partitions"] and used() == limit, "a topic was made beyond the limit by being used")
        raced = by_rest(world, limit, used, names[6])
        world.java("TopicCommand", "--delete", "--topic", f"limit-{world.tag}-rest-.*")
        create(names[6], 6)
        streams_applications(world, words, used, limit, names[6])
        check(used() == limit, f"{used()} of {limit} are used")
    finally:
        for ours in ("limit", "words"):
            world.java("TopicCommand", "--delete", "--topic", f"{ours}-{world.tag}-.*", ok=False)
    switched = auto_create_switches(world)
    by_command_line(world)
    return f"exactly {limit}, by REST ({raced}) and Streams applications too; topics by being used, switched {within(switched)}"


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


def by_rest(world, limit, used, victim):
    """REST and Kafka's requests at every gateway at once, for the room that a deletion by REST makes; then room goes from hand to hand."""
    path, host = world.path(f"instances/{world.instance['id']}/topics"), world.hosts[0]
    name = lambda what: f"limit-{world.tag}-rest-{what}"

    def rest(method, rest="", body=None):
        decided = lambda: (answer := world.api(method, path + rest, body)).status != 503 and answer
        return eventually("an answer that counts", decided)

    over = rest("POST", body={"name": name("over"), "partitions": 2})
    problem = refused(over, 409, "partition-limit")
    check((problem["params"], str(limit) in problem["detail"]) == ({"limit": limit, "used": limit, "requested": 2}, True), f"the refusal says {problem}")
    over = rest("PATCH", f"/{victim}", {"partitions": 7})
    check(refused(over, 409, "partition-limit")["params"]["requested"] == 1, "growing was refused otherwise")

    # 30 creations of 1 to 3 partitions for 6: as many as fit, never more.
    check(rest("DELETE", f"/{victim}").status == 204, "the topic was not deleted")

    def creator(number):
        partitions = 1 + number % 3
        if number % 2:
            answer = rest("POST", body={"name": name(number), "partitions": partitions})
            check(answer.status == 201 or answer.code == "partition-limit", f"REST answered {answer.status} {answer.code}")
            return answer.status == 201
        client = RawTopics(world.hosts[number % len(world.hosts)])
        error = eventually("an answer that counts", lambda: (error := client.create(name(number), partitions)) not in PASSING and (error,))[0]
        check(error in (0, POLICY_VIOLATION), f"a creation is answered by error {error}")
        return error == 0

    with ThreadPoolExecutor(30) as crowd:
        made = list(crowd.map(creator, range(30)))
    check(used() <= limit, f"{used()} of {limit} are used")
    number = 0
    while (answer := rest("POST", body={"name": name(f"rest-{number}"), "partitions": 1})).status == 201:
        number += 1
    refused(answer, 409, "partition-limit")
    check(used() == limit, f"{used()} of {limit} are used when REST is refused")

    # What REST deletes, any gateway has at once, and the other way round.
    clients = [RawTopics(host) for host in world.hosts]
    one = name("hand")
    clients[0].delete(name(made.index(True)))
    while rest("POST", body={"name": f"{one}-{uuid.uuid4().hex[:6]}", "partitions": 1}).status == 201:
        pass
    own = sorted(topic for topic in clients[0].metadata() if topic.startswith(one))
    for number, victim in enumerate(own * 3):
        client = clients[number % len(clients)]
        if number % 2:
            check(client.delete(victim) == 0, "the topic was not deleted")
            check(rest("POST", body={"name": victim, "partitions": 1}).status == 201, "room that a client made can't be had by REST at once")
        else:
            check(rest("DELETE", f"/{victim}").status == 204, "the topic was not deleted")
            error = client.create(victim, 1)
            check(error == 0, f"room that REST made can't be had by a client at once: error {error}")
    check(used() == limit, f"{used()} of {limit} are used")
    shown = rest("GET", "?limit=1000&count=exact&sort=-partitions").json
    check(sum(topic["partition_count"] for topic in shown["items"]) == limit and shown["total"] == len(shown["items"]), "the list shows other topics")
    return f"{sum(made)} of 30 creators at once had the last 6"


def by_command_line(world):
    """A topic from beginning to end."""
    name, one = world.instance["name"], f"cli-{world.tag}"
    shown = world.sluice_json("topic", "create", name, one, "--partitions", "2", "--config", "retention.ms=3600000")
    check(len(shown["partitions"]) == 2 and all(len(p["in_sync_replicas"]) == 3 and p["leader"] is not None for p in shown["partitions"]), f"made: {shown}")
    world.kcat("-P", "-t", one, stdin=b"one\n")
    check("with a key" in world.sluice("topic", "add-partitions", name, one, "--partitions", "4", "--dry-run").stdout.decode(), "the plan says nothing of keys")
    check(world.sluice_json("topic", "add-partitions", name, one, "--partitions", "4")["partition_count"] == 4, "no partitions were added")
    fewer = world.sluice("topic", "add-partitions", name, one, "--partitions", "3", ok=False)
    check(fewer.returncode != 0 and b"takes none away" in fewer.stderr, f"taking partitions away says {fewer.stderr[-300:]}")
    described = world.java("kafka.admin.ConfigCommand", "--describe", "--entity-type", "topics", "--entity-name", one).stdout
    check(b"retention.ms=3600000" in described, f"Kafka has {described}")
    world.java("TopicCommand", "--create", "--topic", f"{one}.java", "--partitions", "1")
    listed = {topic["name"] for topic in world.sluice_json("topic", "list", name, "-q", one)}
    check(listed == {one, f"{one}.java"}, f"the list shows {listed}")
    every = {topic["name"] for topic in world.sluice_json("topic", "list", name, "--internal", "--all")}
    check("__consumer_offsets" in every and not any(topic.startswith("__sluice") for topic in every), f"the list of all shows {every}")
    path = world.path(f"instances/{world.instance['id']}/topics")
    refused(world.api("DELETE", f"{path}/__consumer_offsets"), 409, "topic-protected")
    refused(world.api("DELETE", f"{path}/__sluice_admission"), 404, "not-found")
    for left in (one, f"{one}.java"):
        world.sluice("topic", "delete", name, left, "--yes")
    check(world.sluice("topic", "get", name, one, ok=False).returncode == 3, "the topic is still there")


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
