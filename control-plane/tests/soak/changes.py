"""Certificates and ways in that change all the time, under connections that must not notice."""

import time
import uuid

from certificates import shown
from ledger import Ledger, make_topic, percentile, until
from sluice import PlainClient, check


def live(world, count):
    """Connections by 9093, over all brokers."""
    brokers = world.hosts
    found = [PlainClient.log_in(brokers[n % len(brokers)], world.ca, world.user, world.password) for n in range(count)]
    check(all(found), "a client cannot log in")
    return found


class Bystanders:
    """Connections of 9093 and a producer there: whatever changes meanwhile, none is dropped, no record lost, no broker started anew."""

    def __init__(self, world, topic, count):
        self.world, self.clients, self.jvms, self.waits = world, live(world, count), world.jvms(), []
        self.ledger = Ledger(world, make_topic(world, topic), tls=world.ca)

    def change(self, what, method, path, body, in_force):
        """Asks for it, waits until it is in force and its job has ended."""
        began = time.monotonic()
        job = self.world.api(method, self.world.path(f"instances/{self.world.instance['id']}/{path}"), body, Idempotency_Key=str(uuid.uuid4()))
        check(job.status == 202, f"{what} answered {job.status} {job.code}")
        if in_force:
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
    """The platform's next one each time; every connection that lives goes on."""
    brokers, count = world.hosts, 300 if times > 20 else 30
    with Bystanders(world, f"soak-certificates-{world.tag}", count) as bystanders:
        for _ in range(times):
            old = world.api("GET", world.path(f"instances/{world.instance['id']}/certificate")).json["fingerprint_sha256"]
            bystanders.change("a rotation", "POST", "certificate/rotate", {}, lambda: all(shown(broker, world.ca) != old for broker in brokers))
    return f"{times} certificates, {count} connections, none dropped, {bystanders.figures()}"


def switches(world, times):
    """Each on and off; connections of 9093 and its producer go on."""
    brokers, guest = world.hosts, "127.0.0.78"
    open_ones = lambda source=None: [PlainClient.anonymous(broker, source=source) for broker in brokers]
    gone = lambda clients, source=None: all(client.closed() for client in clients) and not any(open_ones(source))
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
            change("topics made by use", "access", {"auto_create_topics": number % 2 == 0}, None)
            change("what a full disk does", "capacity", {"policy": ["auto-delete", "produce-limited"][number % 2]}, None)
    return f"{times} rounds of 6 switches: no broker restarted, no connection of 9093 dropped, {bystanders.figures()}"
