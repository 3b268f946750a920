"""Certificates and ways in that change all the time, under connections that must not notice."""

import hashlib
import socket
import ssl
import time
import uuid

from gateways import hosts, jvms
from ledger import Ledger, make_topic, percentile, until
from sluice import PlainClient, check


def live(world, count):
    """Connections by 9093, over all brokers."""
    brokers = hosts(world)
    found = [PlainClient.log_in(brokers[n % len(brokers)], world.ca, world.user, world.password) for n in range(count)]
    check(all(found), "a client cannot log in")
    return found


def unharmed(clients):
    check([client.ask(18, 0, b"") for client in clients] == [0] * len(clients), "a connection does not answer")


def shown(host, ca):
    context = ssl.create_default_context(cafile=str(ca))
    with context.wrap_socket(socket.create_connection((host, 9093), timeout=10), server_hostname=host) as connection:
        return hashlib.sha256(connection.getpeercert(binary_form=True)).hexdigest()


def certificates(world, times):
    """The platform's next one each time; every connection that lives goes on."""
    at = f"instances/{world.instance['id']}/certificate"
    clients, brokers, before = live(world, 300 if times > 20 else 30), hosts(world), jvms(world)
    ledger, waits = Ledger(world, make_topic(world, f"soak-certificates-{world.tag}"), tls=world.ca), []
    try:
        for _ in range(times):
            old = world.api("GET", world.path(at)).json["fingerprint_sha256"]
            began = time.monotonic()
            job = world.api("POST", world.path(f"{at}/rotate"), {}, Idempotency_Key=str(uuid.uuid4()))
            check(job.status == 202, f"a rotation answered {job.status} {job.code}")
            until("every broker shows the new one", lambda: all(shown(broker, world.ca) != old for broker in brokers))
            waits.append(time.monotonic() - began)
            unharmed(clients)
            ledger.alive()
            check(world.wait_job(job.json["id"])["state"] == "succeeded", "the job failed")
        sent = ledger.finish()
    finally:
        ledger.close()
    unharmed(clients)
    check(jvms(world) == before, "a broker's JVM is another one")
    for client in clients:
        client.connection.close()
    return f"{times} certificates, {len(clients)} connections, none dropped, {sent} acknowledged; shown by every broker within {max(waits):.2f} s, p99 {percentile(waits, 0.99):.2f}"


def switches(world, times):
    """Each on and off; connections of 9093 and its producer go on."""
    name, brokers, before = world.instance["name"], hosts(world), jvms(world)
    clients, waits = live(world, 30), []
    ledger = Ledger(world, make_topic(world, f"soak-switches-{world.tag}"), tls=world.ca)
    guest = "127.0.0.78"
    open_ones = lambda source=None: [PlainClient.anonymous(broker, source=source) for broker in brokers]
    gone = lambda clients, source=None: all(client.closed() for client in clients) and not any(open_ones(source))

    def change(what, path, body, done):
        began = time.monotonic()
        job = world.api("PATCH", world.path(f"instances/{name}/{path}"), body, Idempotency_Key=str(uuid.uuid4()))
        check(job.status == 202, f"{what} answered {job.status} {job.code}")
        if done:
            until(what, done)
            waits.append(time.monotonic() - began)
        check(world.wait_job(job.json["id"])["state"] == "succeeded", f"the job of {what} failed")
        unharmed(clients)
        ledger.alive()

    try:
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
        sent = ledger.finish()
    finally:
        ledger.close()
    unharmed(clients)
    check(jvms(world) == before, "a broker's JVM is another one")
    for client in clients:
        client.connection.close()
    return f"{times} rounds of 6 switches: no broker restarted, no connection of 9093 dropped, {sent} acknowledged; in force within {max(waits):.2f} s, p99 {percentile(waits, 0.99):.2f}"
