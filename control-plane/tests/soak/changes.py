"""Certificates and ways in that change all the time, under connections that must not notice."""

import itertools
import json
import time
import uuid

from authority import Authority
from certificates import shown
from ledger import Ledger, make_topic, percentile, until
from own_certificates import bad_pairs
from paths import close_all, gets_in, public_hosts, public_is_open
from raw_topics import UNKNOWN_TOPIC, RawTopics
from sluice import PlainClient, check


def live(world, count, port=9093):
    """Connections by 9093 or 9092, over all brokers."""
    brokers = world.hosts
    connect = lambda host: PlainClient.log_in(host, world.ca, world.user, world.password) if port == 9093 else PlainClient.anonymous(host)
    found = [connect(brokers[n % len(brokers)]) for n in range(count)]
    check(all(found), "a client cannot log in")
    return found


class Bystanders:
    """Connections of a port and a producer there: whatever changes meanwhile, none is dropped, no record lost, no broker started anew."""

    def __init__(self, world, topic, count, port=9093):
        self.world, self.clients, self.jvms, self.waits = world, live(world, count, port), world.jvms(), []
        self.ledger = Ledger(world, make_topic(world, topic), tls=world.ca if port == 9093 else None)

    def change(self, what, method, path, body, in_force):
        """Asks for it, waits until clients see it in force and its job has ended."""
        began = time.monotonic()
        job = self.world.api(method, self.world.path(f"instances/{self.world.instance['id']}/{path}"), body, Idempotency_Key=str(uuid.uuid4()))
        check(job.status == 202, f"{what} answered {job.status} {job.code}")
        until(what, in_force)
        self.waits.append(time.monotonic() - began)
        check(self.world.wait_job(job.json["id"])["state"] == "succeeded", f"the job of {what} failed")
        self.unharmed()
        self.ledger.alive()

    def unharmed(self):
        check([client.ask(18, 0, b"") for client in self.clients] == [0] * len(self.clients), "a connection does not answer")

    def __enter__(self):
        return self

    def __exit__(self, fault, *_):
        try:
            if fault is None:
                self.sent = self.ledger.finish()
                self.unharmed()
                check(self.world.jvms() == self.jvms, "a broker's JVM is another one")
        finally:
            self.ledger.close()
            for client in self.clients:
                client.connection.close()

    def figures(self):
        return f"{self.sent} acknowledged; in force within {max(self.waits):.2f} s, p99 {percentile(self.waits, 0.99):.2f}"


def certificates(world, times):
    """The platform's next one each time, and one of the tenant's own that is refused after every tenth; every connection that lives goes on."""
    brokers, count = world.hosts, 300 if times > 20 else 30
    at = world.path(f"instances/{world.instance['id']}/certificate")
    bad = itertools.cycle(bad_pairs(Authority(world.files, "soak"), brokers))
    in_force = lambda: world.api("GET", at).json["fingerprint_sha256"]
    all_show = lambda: {shown(broker, world.ca) for broker in brokers}

    def refused(code, leaf, key, chain):
        before, pair = in_force(), {"certificate_pem": leaf.read_text(), "private_key_pem": key.read_text()}
        body = {"format": "pem", **pair, **({"ca_pem": chain.read_text()} if chain else {})}
        answer = world.api("PUT", at, body, If_Match="*", Idempotency_Key=str(uuid.uuid4()))
        check(answer.status == 422 and [error["code"] for error in answer.json["errors"]] == [code], f"{code} answered {answer.status}: {answer.body[:300]}")
        check(all_show() == {before} == {in_force()}, f"{code}: a refused upload changed what is shown")

    refusals = 0
    with Bystanders(world, f"soak-certificates-{world.tag}", count) as bystanders:
        for number in range(times):
            old = in_force()
            bystanders.change("a rotation", "POST", "certificate/rotate", {}, lambda: old not in all_show())
            if number % 10 == 0:
                refused(*next(bad))
                refusals += 1
    return f"{times} certificates, {refusals} refused, {count} connections, none dropped, {bystanders.figures()}"


def policies(world):
    """What each broker has accepted to do when its disk is full; row E5 and P4 see them do it."""
    specs = [world.home / "nodes" / world.instance["id"] / str(broker["id"]) / "last-good.json" for broker in world.instance["brokers"]]
    return {json.loads(spec.read_text())["gateway"].get("capacity", {}).get("policy", "auto-delete") for spec in specs}


def topics_by_use(world, change, number):
    """Made on every broker as soon as the switch says so, and on none when it says no more."""
    clients, names = [RawTopics(host) for host in world.hosts], []

    def missing():
        """Another one each time: until the switch is in force, it may be made."""
        names.append(f"soak-used-{world.tag}-{number}-{len(names)}")
        return names[-1]

    made = [missing() for _ in clients]
    change("topics made by use", "access", {"auto_create_topics": True}, lambda: all(client.use(name) == 0 for client, name in zip(clients, made)))
    change("no topic made by use", "access", {"auto_create_topics": None}, lambda: all(client.use(missing()) == UNKNOWN_TOPIC for client in clients))
    for name in names:
        until(f"{name} is deleted", lambda: clients[0].delete(name) in (0, UNKNOWN_TOPIC))
    for client in clients:
        client.close()


def switches(world, times):
    """Each on and off; connections of 9093 and its producer go on, and those of 9092 when 9093 is switched."""
    brokers, guest, project = world.hosts, "127.0.0.78", world.project
    open_ones = lambda source=None: [PlainClient.anonymous(broker, source=source) for broker in brokers]
    gone = lambda clients, source=None: all(client.closed() for client in clients) and not any(open_ones(source))
    let_in = lambda hosts, port: [gets_in(world, host, port) for host in hosts]
    log_in = lambda hosts, port: [PlainClient.log_in(host, world.ca, world.user, world.password, port) for host in hosts]
    closed = lambda clients, hosts, port: all(client.closed() for client in clients) and not any(let_in(hosts, port))
    with Bystanders(world, f"soak-switches-{world.tag}", 30) as bystanders:
        change = lambda what, path, body, in_force: bystanders.change(what, "PATCH", path, body, in_force)
        for number in range(times):
            held = open_ones()
            check(all(held), "9092 is not open")
            change("9092 off", "access", {"private_plaintext": False}, lambda: gone(held))
            change("9092 on", "access", {"private_plaintext": True}, lambda: all(open_ones()))
            held = open_ones(guest)
            change("an address denied", "access", {"deny_ips": [guest]}, lambda: gone(held, guest))
            change("no address denied", "access", {"deny_ips": None}, lambda: all(open_ones(guest)))
            change("public access on", "access", {"public_plaintext": True, "public_sasl_ssl": True}, lambda: public_is_open(world))
            hosts = public_hosts(world)
            held = log_in(hosts, 9095)
            change("public access off", "access", {"public_plaintext": None, "public_sasl_ssl": None}, lambda: closed(held, hosts, 9095))
            across = {"cross_network": True, "endpoint_accounts": [{"account": project, "ips": ["127.0.0.1"]}]}
            change("9011 on", "access", across, lambda: all(let_in(brokers, 9011)))
            held = log_in(brokers, 9011)
            change("9011 off", "access", {"cross_network": None}, lambda: closed(held, brokers, 9011))
            topics_by_use(world, change, number)
            policy = ["auto-delete", "produce-limited"][number % 2]
            change("what a full disk does", "capacity", {"policy": policy}, lambda: policies(world) == {policy})
        close_all(world)
    said = f"{times} rounds of 11 switches: no broker restarted, no connection of 9093 dropped, {bystanders.figures()}"
    with Bystanders(world, f"soak-secured-{world.tag}", 30, port=9092) as bystanders:
        for _ in range(times):
            held = log_in(brokers, 9093)
            bystanders.change("9093 off", "PATCH", "access", {"private_sasl_ssl": False}, lambda: closed(held, brokers, 9093))
            bystanders.change("9093 on", "PATCH", "access", {"private_sasl_ssl": True}, lambda: all(let_in(brokers, 9093)))
    return f"{said}; {times} of 9093 itself, under 9092: {bystanders.figures()}"
