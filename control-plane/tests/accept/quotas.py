"""Row E4: quotas of users, client ids and topics, as clients of two families are slowed by them and nobody is cut; and how fast an address connects."""

import contextlib
import json
import os
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from rows import row, within
from sluice import PlainClient, check, eventually, run

LINE = 1000
PRODUCE, CONSUME = 500_000, 1_000_000
# Kafka lets eleven seconds' worth pass before its mean over 11 s is above the quota, and so again each time that one leaves that time.
BURST_SECONDS = 12
# Three such times: one burst more or less is a third.
MEASURED_SECONDS = 33
# Those of topics let one second's worth pass at once.
TOPIC_BURST_SECONDS, TOPIC_MEASURED_SECONDS = 3, 15
# Addresses of clients, and what the first may open a second on one broker.
HELD_BACK, FREE, CONNECTIONS = "127.0.0.77", "127.0.0.78", 2
CONNECTING_SECONDS = 10
# An instance is changed by one at a time; the command line waits for the end of its change.
CHANGING = threading.RLock()
# Sizes of files of lines, in MB.
SMALL, MEDIUM, LARGE = 40, 60, 200


class Quotas:
    """As a user of the instance."""

    def __init__(self, world, user):
        self.world, self.name, self.user = world, world.instance["name"], user
        self.topic = f"quota-{world.tag}"
        self.sasl = ["-b", world.instance["bootstrap"]["private_sasl_ssl"], "-X", "security.protocol=sasl_ssl", "-X", "sasl.mechanisms=PLAIN",
                     "-X", f"sasl.username={user}", "-X", f"sasl.password={world.password}", "-X", f"ssl.ca.location={world.ca}"]

    def sluice(self, *arguments, **options):
        command, *rest = arguments
        with CHANGING:
            return self.world.sluice("quota", command, self.name, *rest, **options)

    def explained(self, *arguments):
        limits = json.loads(self.sluice("explain", *arguments, "-o", "json").stdout)["limits"]
        return {limit["key"]: limit for limit in limits}

    def end(self, topic=None):
        return int(self.world.kcat("-Q", "-t", f"{topic or self.topic}:0:-1").stdout.split()[-1])

    def connections(self, client_id):
        found = self.world.api("GET", self.world.path(f"instances/{self.world.instance['id']}/connections?client_id={client_id}&limit=200"))
        check(found.status == 200, f"connections answered {found.status}")
        return {one["id"] for one in found.json["items"]}

    def lines(self, megabytes):
        path = self.world.files / f"quota-lines-{megabytes}"
        if not path.exists():
            path.write_bytes((os.urandom(LINE // 2 - 1).hex().encode() + b"x\n") * (megabytes * 1_000_000 // LINE))
        return path

    @contextlib.contextmanager
    def client(self, name, *arguments, out=subprocess.DEVNULL):
        """kcat as the user, in the background; it must neither end nor complain, nor lose a connection."""
        errors = self.world.files / f"{name}.log"
        with errors.open("wb") as log:
            command = ["kcat", *self.sasl, "-X", f"client.id={name}", "-X", "compression.codec=none", *map(str, arguments)]
            client = subprocess.Popen(command, stdout=out, stderr=log)
            try:
                yield client
                check(client.poll() is None, f"{name} ended: {errors.read_text()[-300:]}")
            finally:
                client.kill()
                client.wait()
        told = errors.read_text()
        bad = [word for word in ("FAIL", "timed out", "Disconnected", "revoked", "ERROR") if word in told]
        check(not bad, f"{name} was cut: {told[-400:]}")

    def rate(self, seen, name, burst=BURST_SECONDS, measured=MEASURED_SECONDS):
        """Bytes a second after the burst, over connections that are the same in the end."""
        eventually(f"{name} moves something", seen)
        time.sleep(burst)  # What passes at once is not what is measured.
        before, began, connected = seen(), time.monotonic(), self.connections(name)
        time.sleep(measured)  # A mean over time.
        moved, took = seen() - before, time.monotonic() - began
        check(connected and connected <= self.connections(name), f"{name} lost a connection")
        return moved / took


def of_quota(rate, quota, what):
    # Without a quota it would be twice as much at least; a busy machine may give less.
    check(0.3 < rate / quota < 1.7, f"{what} went at {rate:.0f} bytes a second, the quota is {quota}")
    return f"{rate / quota * 100:.0f} %"


def let_in(host, source):
    """Whether a connection from this address was served; it ends."""
    client = PlainClient.anonymous(host, source=source)
    if client:
        client.connection.close()
    return client is not None


def by_address(world, q):
    """How fast an address connects, in words."""
    with CHANGING:
        began = time.monotonic()
        q.sluice("set", "--ip", HELD_BACK, "--connections", CONNECTIONS)
        for host in world.hosts:
            eventually(f"{HELD_BACK} is held back on {host}", lambda: not let_in(host, HELD_BACK), pause=0)
        took = time.monotonic() - began
    limit = q.explained("--ip", HELD_BACK)["connection_creation_rate"]
    check(limit["effective"] == CONNECTIONS and limit["effective_over_all"] == 3 * CONNECTIONS, f"explained as {limit}")

    host, served, deadline = world.hosts[0], 0, time.monotonic() + CONNECTING_SECONDS
    while time.monotonic() < deadline:
        served += let_in(host, HELD_BACK)
        check(let_in(host, FREE), f"{FREE} was refused")
        time.sleep(0.05)  # Ten times as often as it may.
    # A second's worth passes at once.
    check(CONNECTING_SECONDS <= served <= CONNECTIONS * (CONNECTING_SECONDS + 1), f"{served} of {HELD_BACK} were let in, in {CONNECTING_SECONDS} s")

    # Kafka itself would never see the address: its own tool is told what does.
    login = ["--command-config", world.java_properties()]
    tool = world.java("kafka.admin.ConfigCommand", *login, "--alter", "--entity-type", "ips", "--entity-name", FREE,
                      "--add-config", "connection_creation_rate=1", way="private_sasl_ssl", ok=False)
    told = (tool.stdout + tool.stderr).decode()
    check(tool.returncode != 0 and "/client-quotas" in told, f"Kafka's own tool was told {told[-300:]}")
    for refused in (["10.0.0.0/8", "--connections", "2"], [FREE, "--connections", "0"], [FREE, "--produce", "1MB"]):
        check(q.sluice("set", "--ip", *refused, ok=False).returncode == 4, f"{refused} was taken")
    q.sluice("delete", "--ip", HELD_BACK, "--yes")
    for host in world.hosts:
        check(all(let_in(host, HELD_BACK) for _ in range(10)), f"{HELD_BACK} is still held back on {host}")
    return f"an address connects at {served / CONNECTING_SECONDS:.1f} a second of {CONNECTIONS}, {within(took)}, another as it likes"


def of_topic(rate, quota, what):
    # What is passed is the gateway's; a busy machine may give less.
    check(0.3 < rate / quota < 1.15, f"{what} went at {rate:.0f} bytes a second, the quota of its topic is {quota}")
    return f"{rate / quota * 100:.0f} %"


def by_topic(world, q):
    """Of all together who use a topic, in words."""
    slow, free = f"{q.topic}-slow", f"{q.topic}-free"
    for topic in (slow, free):
        world.java("TopicCommand", "--create", "--topic", topic, "--partitions", "1", "--replication-factor", "1")
    q.sluice("set", "--topic", slow, "--produce", "500kB/s", "--consume", "1MB/s")
    listed = q.sluice("list", "--topic", slow).stdout.decode()
    check(slow in listed and "500 kB/s a broker, 1.5 MB/s in all" in listed, f"the list says {listed}")
    rule = q.explained("--user", q.user, "--topic", slow)["producer_byte_rate"]
    check(rule["decided_by"] == "topic" and rule["effective"] == PRODUCE and rule["effective_over_all"] == 3 * PRODUCE, f"explained as {rule}")

    def fast(topic):
        began = time.monotonic()
        run("kcat", *q.sasl, "-P", "-t", topic, "-l", q.lines(SMALL), timeout=120)
        return SMALL * 1_000_000 / (time.monotonic() - began)

    small = ["-X", "batch.size=65536", "-X", "queue.buffering.max.kbytes=4096"]
    with q.client("topic-producer", "-P", "-t", slow, *small, "-l", q.lines(MEDIUM)):
        produced = q.rate(lambda: q.end(slow) * LINE, "topic-producer", TOPIC_BURST_SECONDS, TOPIC_MEASURED_SECONDS)
        other = fast(free)
    check(other > 3 * PRODUCE, f"another topic went at {other:.0f} bytes a second only")

    # Java shares the figure with everybody, and shows what it is told. What kcat had sent arrives although it is gone.
    def still():
        end = q.end(slow)
        time.sleep(1)  # Several batches' time.
        return q.end(slow) == end

    eventually("what was on its way has arrived", still)
    before = q.end(slow)
    shown = world.java("ProducerPerformance", "--topic", slow, "--num-records", "8000", "--record-size", "1000", "--throughput", "-1",
                       "--print-metrics", "--command-property", "client.id=topic-java").stdout.decode()
    java = LINE * float(re.findall(r"([0-9.]+) records/sec", shown)[-1])
    throttled = next(float(line.split(":")[-1]) for line in shown.splitlines() if "produce-throttle-time-max" in line and "perf" not in line)
    check(q.end(slow) - before == 8000 and throttled > 10, f"{q.end(slow) - before} of 8000 records came, and Java was told of {throttled} ms")

    # Consumers of both families in one time: they share it, and none is rebalanced.
    group = ["-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=1000", "-X", "queued.max.messages.kbytes=1024"]
    out = world.files / "topic-consumed"
    with out.open("wb") as sink:
        with q.client("topic-consumer", "-G", f"topic-{world.tag}", "-u", *group, slow, out=sink):
            consumed = q.rate(lambda: out.stat().st_size, "topic-consumer", TOPIC_BURST_SECONDS, TOPIC_MEASURED_SECONDS)
            began = time.monotonic()
            read = world.java("consumer.ConsoleConsumer", "--topic", slow, "--from-beginning", "--max-messages", "4000", "--timeout-ms", "60000",
                              "--group", f"topic-java-{world.tag}").stdout
            shared = len(read) / (time.monotonic() - began)
    check(read.count(b"\n") == 4000, f"Java got {read.count(b'.')} records")
    check(shared < 1.15 * CONSUME + CONSUME / 4, f"Java consumed {shared:.0f} bytes a second beside another one")
    out.unlink()
    told = (world.files / "topic-consumer.log").read_text()
    check(told.count("assigned") == 1, f"the group was rebalanced: {told[-300:]}")

    # What is gone lets go, while somebody waits.
    with q.client("topic-freed", "-P", "-t", slow, *small, "-l", q.lines(LARGE)):
        start = q.end(slow)
        eventually("topic-freed moves something", lambda: q.end(slow) > start)
        with CHANGING:
            began, start = time.monotonic(), q.end(slow)
            q.sluice("delete", "--topic", slow, "--yes")
            # What would take five seconds.
            eventually("the topic is free", lambda: (q.end(slow) - start) * LINE > 5 * PRODUCE, pause=0)
            freed = time.monotonic() - began
    for refused in (["a*", "--produce", "1MB"], [slow, "--requests", "50"], ["__consumer_offsets", "--produce", "1MB"], [slow, "--user", "a", "--produce", "1MB"]):
        check(q.sluice("set", "--topic", *refused, ok=False).returncode == 4, f"{refused} was taken")
    return (f"a topic is produced to at {of_topic(produced, PRODUCE, 'kcat')} (Java {of_topic(java, PRODUCE, 'Java')}, told of {throttled:.0f} ms) "
            f"and consumed at {of_topic(consumed, CONSUME, 'a consumer')} of its quota, another topic at {other / 1e6:.0f} MB/s meanwhile; "
            f"without the quota {5 * PRODUCE / 1e6} MB went {within(freed)}")


def by_user(world, q):
    """Slowed to the figure, both ways at once, and not cut; a group is not rebalanced by it. In words."""
    q.sluice("set", "--user", q.user, "--produce", "500kB", "--consume", "1MB")
    listed = q.sluice("list", "--user", q.user).stdout.decode()
    check("500 kB/s a broker, 1.5 MB/s in all" in listed, f"the list says {listed}")
    seen = q.explained("--user", q.user, "--client-id", "any")
    rule = seen["producer_byte_rate"]
    check(rule["decided_by"] == "rule" and rule["effective"] == PRODUCE and rule["effective_over_all"] == 3 * PRODUCE, f"explained as {rule}")
    check(q.user in rule["explanation"], f"in words: {rule['explanation']}")
    start, out = q.end(), world.files / "quota-consumed"
    produce = ["-P", "-t", q.topic, "-X", "batch.size=65536", "-X", "queue.buffering.max.kbytes=4096", "-l", q.lines(MEDIUM)]
    consume = ["-G", f"quota-{world.tag}", "-u", "-X", "auto.offset.reset=earliest", "-X", "fetch.message.max.bytes=262144",
               "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=1000", "-X", "queued.max.messages.kbytes=1024", q.topic]
    with out.open("wb") as sink, q.client("quota-producer", *produce), q.client("quota-consumer", *consume, out=sink), ThreadPoolExecutor(2) as both:
        produced = both.submit(q.rate, lambda: (q.end() - start) * LINE, "quota-producer")
        consumed = both.submit(q.rate, lambda: out.stat().st_size, "quota-consumer")
        produced, consumed = produced.result(), consumed.result()
    out.unlink()
    told = (world.files / "quota-consumer.log").read_text()
    check(told.count("assigned") == 1, f"the group was rebalanced: {told[-300:]}")

    # What is more special wins; what is gone lets go.
    q.sluice("set", "--user", q.user, "--client-id", "fast", "--produce", "20MB")
    rule = q.explained("--user", q.user, "--client-id", "fast")["producer_byte_rate"]
    check(rule["effective"] == 20_000_000 and len(rule["overruled"]) == 1, f"explained as {rule}")
    q.sluice("delete", "--user", q.user, "--client-id", "fast", "--yes")
    q.sluice("delete", "--user", q.user, "--yes")
    began = time.monotonic()
    run("kcat", *q.sasl, "-P", "-t", q.topic, "-l", q.lines(SMALL), timeout=120)
    freed = SMALL * 1_000_000 / (time.monotonic() - began)
    check(freed > 3 * PRODUCE, f"after the deletion only {freed:.0f} bytes a second went")
    return f"a user produces at {of_quota(produced, PRODUCE, 'a producer')} and consumes at {of_quota(consumed, CONSUME, 'a consumer')} of its quota, no connection lost, no rebalance"


def by_client(world, q):
    """The client is told how long it is throttled: Java's shows it. In words."""
    topic = f"{q.topic}-java"
    world.java("TopicCommand", "--create", "--topic", topic, "--partitions", "1", "--replication-factor", "1")
    q.sluice("set", "--client-id", "quota-java", "--produce", "500kB")
    shown = world.java("ProducerPerformance", "--topic", topic, "--num-records", "8000", "--record-size", "1000", "--throughput", "-1",
                       "--print-metrics", "--command-property", "client.id=quota-java").stdout.decode()
    throttled = next(float(line.split(":")[-1]) for line in shown.splitlines() if "produce-throttle-time-max" in line and "perf" not in line)
    check(throttled > 100, f"Java was told of {throttled} ms")
    return f"Java is told of {throttled:.0f} ms"


@row("E4")
def quotas(world):
    """Those that don't touch each other at the same time: of a user, of a client id of somebody else, of topics, of addresses."""
    q, slowed = Quotas(world, world.user), Quotas(world, f"slowed-{world.tag}")
    world.sluice("user", "create", q.name, slowed.user, "--password-stdin", stdin=world.password.encode())
    world.java("TopicCommand", "--create", "--topic", q.topic, "--partitions", "1", "--replication-factor", "1")
    for megabytes in (SMALL, MEDIUM, LARGE):
        q.lines(megabytes)
    began = time.monotonic()
    world.kcat("-P", "-t", q.topic, "-l", q.lines(SMALL), timeout=120)
    free = SMALL * 1_000_000 / (time.monotonic() - began)
    check(free > 2 * CONSUME, f"without a quota only {free:.0f} bytes a second went")
    try:
        with ThreadPoolExecutor(4) as kinds:
            running = [kinds.submit(kind, world, whose) for kind, whose in ((by_user, slowed), (by_client, q), (by_address, q), (by_topic, q))]
            said = [one.result() for one in running]

        # Everybody else may be slowed to a crawl: the service itself is not, and shows none of its own rules.
        q.sluice("set", "--default-user", "--produce", "20kB", "--consume", "20kB", "--requests", "1", "--mutations", "0.1")
        began = time.monotonic()
        for number in range(3):
            world.sluice("user", "create", q.name, f"quota-{world.tag}-{number}")
        check(time.monotonic() - began < 20, "the service is slowed by its tenant's quotas")
        shown = world.java("kafka.admin.ConfigCommand", "--describe", "--entity-type", "users").stdout.decode()
        check("default user" in shown.lower() and "sluice-" not in shown, f"Kafka's own tool shows {shown}")
        for refused in (["--user", "sluice-node", "--produce", "1MB"], ["--user", "a", "--produce", "1"], ["--user", "a", "--requests", "0"]):
            check(q.sluice("set", *refused, ok=False).returncode == 4, f"{refused} was taken")
    finally:
        for entity in (["--user", slowed.user], ["--client-id", "quota-java"], ["--user", slowed.user, "--client-id", "fast"], ["--default-user"], ["--ip", HELD_BACK],
                       ["--topic", f"{q.topic}-slow"]):
            q.sluice("delete", *entity, "--yes", ok=False)
        world.sluice("user", "delete", q.name, slowed.user, "--yes", ok=False)
    return "; ".join(said)
