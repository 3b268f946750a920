"""Certificates of clients: clients of Java and librdkafka over SSL, and trust that goes while they are connected."""

import ssl
import socket
import struct
import uuid

from authority import Authority
from paths import in_force
from sluice import Failed, PlainClient, check, run

ALICE, BOB = "CN=alice,OU=web", "CN=bob,OU=web"


def connect(world, host, client, ca=None):
    """A connection that shows a certificate and asks for something without a login; None when it is refused."""
    context = ssl.create_default_context(cafile=str(ca or world.ca))
    context.load_cert_chain(client)
    try:
        line = PlainClient(context.wrap_socket(socket.create_connection((host, 9093), timeout=10), server_hostname=host))
        # Heartbeat of a member that is none: whatever Kafka says of it, it says it to somebody.
        line.ask(12, 0, struct.pack(">h", 1) + b"g" + struct.pack(">ih", -1, 1) + b"m")
        return line
    except (OSError, Failed):
        return None


def certificates_sign_in(world):
    """The longest time until trust that went was gone everywhere."""
    name, topic, brokers = world.instance["name"], f"by-certificate-{world.tag}", world.instance["bootstrap"]["private_sasl_ssl"]
    hosts = world.hosts
    old, new = Authority(world.files, "old"), Authority(world.files, "new")
    alice, bob, next_alice = old.client("alice"), old.client("bob"), new.client("alice")
    properties = world.files / "certificate.properties"

    def java(client, *arguments):
        properties.write_text(
            f"security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.location={client}\nssl.truststore.type=PEM\nssl.truststore.location={world.ca}\n"
            "default.api.timeout.ms=15000\nrequest.timeout.ms=10000\n")
        return world.java("TopicCommand", *arguments, "--command-config", properties, way="private_sasl_ssl", ok=False)

    def kcat(client, *arguments, **options):
        given = ["security.protocol=ssl", f"ssl.ca.location={world.ca}", f"ssl.certificate.location={client}", f"ssl.key.location={client}",
                 "ssl.endpoint.identification.algorithm=https", "message.timeout.ms=10000"]
        return run("kcat", "-b", brokers, *(part for one in given for part in ("-X", one)), *arguments, **options)

    trust = lambda *arguments: world.sluice("access", "certificates", "trust", name, *arguments)
    check(connect(world, hosts[0], alice) is None, "a certificate signed somebody in before any was trusted")
    for file, why in ((alice, b"private key"), (alice.with_name("alice-leaf.pem"), b"no authority")):
        refused = world.sluice("access", "certificates", "trust", name, "--ca", file, ok=False)
        check(refused.returncode != 0 and why in refused.stderr, f"{file} passed for an authority: {refused.stderr[-200:]}")
    trust("--ca", old.pem)
    world.sluice("access", "set", name, "--mtls", "on")
    try:
        world.sluice("access", "set", name, "--authorization", "acl")
        for operation, resource, target in (("read,write,create", "topic", topic), ("read", "group", topic)):
            world.sluice("acl", "add", name, "--principal", f"User:{ALICE}", "--resource", resource, "--name", target, "--operation", operation)
        create = java(alice, "--create", "--topic", topic)
        check(create.returncode == 0, f"Java over SSL: {create.stderr.decode()[-300:]}")
        word = uuid.uuid4().hex
        kcat(alice, "-P", "-t", topic, stdin=word.encode())
        read = kcat(alice, "-C", "-t", topic, "-o", "beginning", "-e", "-q", timeout=60)
        check(word in read.stdout.decode(), "what was written by certificate cannot be read by it")
        check(topic in java(alice, "--list").stdout.decode(), "Java does not see the topic of its rights")
        foreign = kcat(bob, "-P", "-t", topic, stdin=b"x", ok=False)
        check(foreign.returncode != 0 and b"uthorization failed" in foreign.stderr, f"a subject without rights was not refused as such: {foreign.stderr[-200:]}")
        check(java(new.client("eve"), "--list").returncode != 0, "a certificate of an authority that is not trusted got in")
        check(connect(world, hosts[0], old.client("web", usage="serverAuth")) is None, "a server's certificate signed a client in")

        both = world.files / "both-authorities.pem"
        both.write_text(old.pem.read_text() + new.pem.read_text())
        trust("--ca", both)
        open_by = lambda client: [connect(world, host, client) for host in hosts]
        first, second = open_by(alice), open_by(next_alice)
        passwords = [PlainClient.log_in(host, world.ca, world.user, world.password) for host in hosts]
        check(all(first + second + passwords), "somebody is refused while both are trusted")
        shown = world.api("GET", world.path(f"instances/{name}/connections?user={ALICE}")).json["items"]
        check(len(shown) == 6 and all(one["mechanism"] == "MTLS" and one["certificate"]["subject"] == ALICE for one in shown), f"the list shows {shown[:1]}")
        plan = world.sluice("access", "certificates", "trust", name, "--ca", new.pem, "--dry-run").stdout.decode()
        check(f"{ALICE}: 3 connections end" in plan, f"the plan does not say who loses what: {plan}")

        waits = []

        def until_gone(what, opened, client, change):
            gone = lambda: all(line.closed() for line in opened) and not any(open_by(client))
            waits.append(in_force(world, what, {"mtls": change}, gone))

        until_gone("taking an authority out", first, alice, {"ca_pem": new.pem.read_text()})
        check(not any(line.closed() for line in second + passwords), "somebody else was closed")
        until_gone("revoking a certificate", second, next_alice, {"crl_pem": new.revoking(next_alice).read_text()})
        third = open_by(new.client("carol"))
        check(all(third), "a certificate that was not revoked is refused")
        until_gone("switching off", third, new.at / "carol.pem", {"enabled": False})
        check(not any(line.closed() for line in passwords), "who came by a password was closed")
    finally:
        world.sluice("access", "set", name, "--authorization", "open")
        world.sluice("access", "certificates", "clear", name)
    return max(waits)

