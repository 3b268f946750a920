"""Row D5: rights, rules and both modes, by REST and by Kafka's own tool."""

import json
import struct
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from raw_topics import RawTopics
from rows import refused, row, within
from sluice import PlainClient, check, eventually, run

# Of Kafka's requests, and of its errors.
HEARTBEAT, INIT_PRODUCER_ID = 12, 22
TOPIC_REFUSED, GROUP_REFUSED, TRANSACTIONS_REFUSED = 29, 30, 53
NOT_COORDINATOR, UNKNOWN_MEMBER, INVALID_PARTITIONS = 16, 25, 37
# What a coordinator says that begins its work with this.
BEGINNING = (14, 15, 51)


@row("D5")
def authorisation(world):
    """Rights, rules and both modes, seen by clients on each broker for itself; a change counts from when it is asked for."""
    name, tag = world.instance["name"], world.tag
    brokers = world.hosts
    processes = world.jvms()
    orders, bills = f"orders-{tag}", f"bills-{tag}"
    for topic in (orders, bills):
        world.make_topic(topic)
    leaders = {p["partition"]: p["leader"] for p in json.loads(world.kcat("-L", "-J", "-t", orders).stdout)["topics"][0]["partitions"]}
    check(len(set(leaders.values())) == len(brokers), f"not every broker leads a partition: {leaders}")
    seen = json.loads(world.kcat("-L", "-J").stdout)["brokers"]
    partition = {b["name"].rsplit(":", 1)[0]: next(p for p, leader in leaders.items() if leader == b["id"]) for b in seen}
    writer, reader, password = f"writer-{tag}", f"reader-{tag}", "Stork-lake-31"
    for user in (writer, reader):
        world.sluice("user", "create", name, user, "--password-stdin", stdin=password.encode())

    def client(broker, user, *arguments, stdin=None):
        """kcat with this broker alone to begin with; without a user on 9092. Whether it was let do what it asked."""
        options = ["-b", f"{broker}:{9093 if user else 9092}"]
        if user:
            options += ["-X", "security.protocol=sasl_ssl", "-X", "sasl.mechanisms=PLAIN", "-X", f"sasl.username={user}", "-X", f"sasl.password={password}",
                        "-X", f"ssl.ca.location={world.ca}", "-X", "ssl.endpoint.identification.algorithm=https"]
        done = run("kcat", *options, "-X", "message.timeout.ms=4000", *arguments, stdin=stdin, ok=False, timeout=30)
        said = done.stdout + done.stderr
        refused_it = b"authorization failed" in said.lower() or b"TOPIC_AUTHORIZATION_FAILED" in said
        check(refused_it or done.returncode == 0, f"kcat failed otherwise: {said.decode()[-300:]}")
        return not refused_it

    writes = lambda broker, user, topic=orders: client(broker, user, "-P", "-t", topic, "-p", partition[broker], stdin=b"here\n")
    reads = lambda broker, user, topic=orders: client(broker, user, "-C", "-t", topic, "-p", partition[broker], "-o", "beginning", "-e", "-q")

    def everywhere(attempt, *arguments):
        with ThreadPoolExecutor(len(brokers)) as pool:
            return list(pool.map(lambda broker: attempt(broker, *arguments), brokers))

    waits = []

    def until(what, wanted, change, attempt, *arguments):
        """Seconds from the request until the last broker does what is wanted; a probe counts from when it began."""
        began = time.monotonic()
        change()
        while True:
            tried = time.monotonic()
            if set(everywhere(attempt, *arguments)) == {wanted}:
                break
            check(tried - began < 10, f"{what}: not on every broker after 10 s")
        waits.append(tried - began)

    def ask(method, path, body=None):
        answer = world.api(method, world.path(f"instances/{name}/{path}"), body, Idempotency_Key=str(uuid.uuid4()))
        check(answer.status == 202, f"{method} {path} answered {answer.status} {answer.body[:300]}")
        return answer.json["id"]

    def change(method, path, body=None):
        # Asked, and not waited for: what clients see is what counts.
        jobs.append(ask(method, path, body))

    def settle():
        for job in jobs:
            ended = world.wait_job(job)
            check(ended["state"] == "succeeded", f"{ended['kind']} ended {ended['state']}: {ended['problem']}")
        jobs.clear()

    jobs = []
    properties = world.java_properties()
    live = LiveProducer(world, orders, properties)
    plan = world.sluice("access", "set", name, "--authorization", "acl", "--dry-run").stdout.decode()
    check(f"{writer} has no rights" in plan and "9092" in plan, f"the plan does not say who loses what: {plan}")
    world.sluice("user", "grant", name, writer, "--topic", "orders-*", "--produce")
    world.sluice("user", "grant", name, reader, "--topic", "orders-*", "--consume", "--group", "readers-*")
    world.sluice("user", "grant", name, world.user, "--topic", "*", "--manage", "--produce", "--consume", "--group", "*", "--transactional-id", "*")
    check(set(everywhere(writes, None)) == {True}, "before the switch somebody without a login cannot write")
    until("acl mode", False, lambda: change("PATCH", "access", {"authorization": "acl"}), writes, None)
    settle()
    check(set(everywhere(writes, writer)) == {True}, "who may produce cannot")
    check(set(everywhere(reads, writer)) == {False}, "who may produce can consume")
    check(set(everywhere(reads, reader)) == {True} and set(everywhere(writes, reader)) == {False}, "who may consume cannot, or can produce")
    check(set(everywhere(writes, writer, bills)) == {False}, "a prefix covers another topic")
    grouped = lambda group: world.kcat("-G", group, orders, "-e", "-q", "-X", "auto.offset.reset=earliest", tls="PLAIN", ok=False).returncode
    check(grouped(f"readers-{tag}") == 0, "the user with all rights cannot consume in a group")

    denial = {"resource_type": "topic", "resource_name": orders, "principal": f"User:{writer}", "operation": "write", "permission": "deny"}
    until("a denial", False, lambda: change("POST", "acls", {"bindings": [denial]}), writes, writer)
    settle()
    in_kafkas_logs(world, "a denial", f"User:{writer}", "WRITE", f"Topic:LITERAL:{orders}")
    until("its removal", True, lambda: change("DELETE", f"acls?principal=User:{writer}&permission=deny"), writes, writer)
    settle()
    until("a revocation", False, lambda: change("DELETE", f"users/{writer}/rights?all=true"), writes, writer)
    settle()
    until("a grant", True, lambda: change("PUT", f"users/{writer}/rights", {"topic": "orders-*", "rights": ["produce"]}), writes, writer)
    settle()
    waits += rights_by_word(world, writer, reader, password, orders)
    until("anonymous open", True, lambda: change("PATCH", "access", {"anonymous": "open"}), writes, None, bills)
    settle()
    check(set(everywhere(writes, writer, bills)) == {False}, "opening for clients without a login opened for users")

    by_kafka(world, properties)
    until("open mode", True, lambda: change("PATCH", "access", {"authorization": "open", "anonymous": None}), writes, writer, bills)
    settle()
    check(world.jvms() == processes, "a broker restarted")
    sent = live.finish()
    kept = world.kcat("-C", "-t", orders, "-o", "beginning", "-e", "-q").stdout.split(b"\n")
    check(sum(line.startswith(b"live-") for line in kept) == sent, "a producer that kept its right lost a message")
    for user in (writer, reader):
        world.sluice("user", "revoke", name, user, "--all", "--yes")
        world.sluice("user", "delete", name, user, "--yes")
    world.sluice("user", "revoke", name, world.user, "--all", "--yes")
    return f"{len(waits)} changes, each in force on every broker {within(max(waits))}; no broker restarted, a Java producer with rights wrote {sent} messages meanwhile"


def in_kafkas_logs(world, what, principal, operation, resource):
    """Every broker's own authorizer says who it was."""
    logs = [world.home / "nodes" / world.instance["id"] / str(broker["id"]) / "logs" / "kafka-authorizer.log" for broker in world.instance["brokers"]]
    words = (f"Principal = {principal} is Denied", f"operation = {operation}", f"on resource = {resource} ")
    said = lambda log: any(all(word in line for word in words) for line in log.read_text().splitlines())
    eventually(f"{what} of {principal} is in the authorizer's log of each broker", lambda: all(map(said, logs)), 10)


def rights_by_word(world, writer, reader, password, topic):
    """`manage`, the group of `consume` and `--transactional-id`: tried without and then with the right. How long each took to be in force."""
    name, tag, waits = world.instance["name"], world.tag, []
    user = lambda host, name: PlainClient.log_in(host, world.ca, name, password)
    own = {who: {host: user(host, who) for host in world.hosts} for who in (writer, reader)}
    text = lambda words: struct.pack(">h", len(words)) + words.encode()

    def joins(host, group):
        """As a member that it is not, which only who has the right is told."""
        return own[reader][host].ask(HEARTBEAT, 0, text(group) + struct.pack(">i", 1) + text("nobody"))

    def transacts(host):
        answer = own[writer][host].answer(INIT_PRODUCER_ID, 0, text(f"books-{tag}-1") + struct.pack(">i", 60_000))
        return struct.unpack_from(">h", answer, 4)[0]

    def manages(host):
        """There are more partitions already."""
        return RawTopics(host, own[writer][host]).grow(topic, 1)

    def granted(what, attempt, refusal, allowed, *words):
        """`allowed` is what each broker may answer to who has the right."""
        told = [attempt(host) for host in world.hosts]
        check(told == [refusal] * len(told), f"{what}: who has no right is answered {told}")
        began = time.monotonic()
        world.sluice("user", "grant", name, *words)
        while True:
            tried = time.monotonic()
            told = [attempt(host) for host in world.hosts]
            if set(told) <= set(allowed):
                break
            check(set(told) <= {refusal, *allowed, *BEGINNING}, f"{what}: who has the right is answered {told}")
            check(tried - began < 10, f"{what}: after 10 s brokers answer {told}")
        waits.append(tried - began)

    a_member = (UNKNOWN_MEMBER, NOT_COORDINATOR)
    told = [joins(host, f"readers-{tag}") for host in world.hosts]
    check(sorted(told) == [NOT_COORDINATOR, NOT_COORDINATOR, UNKNOWN_MEMBER], f"who may consume in the group of the grant is answered {told}")
    granted("another group", lambda host: joins(host, f"late-{tag}"), GROUP_REFUSED, a_member, reader, "--group", "late-*")
    told = [joins(host, f"others-{tag}") for host in world.hosts]
    check(told == [GROUP_REFUSED] * len(told), f"beside a grant of some groups another one is answered {told}")
    granted("transactions", transacts, TRANSACTIONS_REFUSED, (0, NOT_COORDINATOR), writer, "--transactional-id", f"books-{tag}-*")
    made, topics = f"orders-made-{tag}", RawTopics(world.hosts[0], own[writer][world.hosts[0]])
    told = [topics.create(made, 1), topics.delete(topic)]
    check(told == [TOPIC_REFUSED] * 2, f"who may produce creates and deletes, and is answered {told}")
    granted("manage", manages, TOPIC_REFUSED, [INVALID_PARTITIONS], writer, "--topic", "orders-*", "--manage")
    told = [topics.create(made, 1), topics.grow(made, 2), topics.delete(made)]
    check(told == [0, 0, 0], f"who may manage creates, grows and deletes, and is answered {told}")
    told = RawTopics(world.hosts[0], own[reader][world.hosts[0]]).delete(topic)
    check(told == TOPIC_REFUSED, f"what another was granted is answered {told}")
    return waits


class LiveProducer:
    """Java's console producer, which writes a line every 20 ms until it is told to finish."""

    def __init__(self, world, topic, properties):
        command = world.java_command("ConsoleProducer", "--bootstrap-server", world.instance["bootstrap"]["private_sasl_ssl"], "--topic", topic,
                                     "--producer.config", properties, "--request-required-acks", "all")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.sent, self.stop = 0, threading.Event()
        self.feeder = threading.Thread(target=self.feed, daemon=True)
        self.feeder.start()

    def feed(self):
        while not self.stop.wait(0.02):
            self.process.stdin.write(f"live-{self.sent}\n".encode())
            self.process.stdin.flush()
            self.sent += 1

    def finish(self):
        """How many lines were written, none of them with an error."""
        self.stop.set()
        self.feeder.join(10)
        said = self.process.communicate(timeout=60)[0].decode()
        check(self.process.returncode == 0 and "ERROR" not in said, f"the live producer failed: {said[-400:]}")
        return self.sent


def by_kafka(world, properties):
    """The same rules by Kafka's own tool, as a user who may alter the cluster: what is hidden and refused by REST is so here."""
    name = world.instance["name"]
    tool = lambda *arguments: world.java("AclCommand", "--command-config", properties, *arguments, way="private_sasl_ssl", ok=False)
    cluster = ("--principal", f"User:{world.user}", "--resource", "cluster", "--name", "kafka-cluster")
    world.sluice("acl", "add", name, *cluster, "--operation", "alter,describe")
    listed = tool("--list").stdout.decode()
    check(f"User:{world.user}" in listed, f"Kafka's tool does not see the rules: {listed[-300:]}")
    check("User:*" not in listed and "User:ANONYMOUS" not in listed and "sluice" not in listed, "Kafka's tool sees the platform's rules")
    made = tool("--add", "--allow-principal", "User:made-by-kafka", "--operation", "Read", "--topic", "odd")
    check(made.returncode == 0, f"Kafka's tool could not make a rule: {made.stderr.decode()[-300:]}")
    check("made-by-kafka" in world.sluice("acl", "list", name).stdout.decode(), "a rule that Kafka's tool made is not listed")
    hosted = tool("--add", "--allow-principal", "User:made-by-kafka", "--allow-host", "10.0.0.1", "--operation", "Read", "--topic", "odd")
    said = (hosted.stdout + hosted.stderr).decode()
    check("only the host '*' is accepted" in said, f"a host rule by Kafka's tool was not refused with the reason: {said[-300:]}")
    host = {"resource_type": "topic", "resource_name": "odd", "principal": "User:a", "operation": "read", "host": "10.0.0.1"}
    refused(world.api("POST", world.path(f"instances/{name}/acls"), {"bindings": [host]}), 422, "validation-failed")
    before = tool("--list").stdout
    tool("--remove", "--force", "--topic", "*", "--resource-pattern-type", "any")
    check("made-by-kafka" in before.decode(), "the rule is gone")
    world.sluice("acl", "remove", name, "--principal", "User:made-by-kafka", "--yes")
    world.sluice("acl", "remove", name, *cluster, "--yes")
