"""What belongs to one instance, tried at another."""

import json
import os
import socket
import ssl
import uuid

import mtls
from authority import Authority
from ledger import make_topic
from sluice import PlainClient, check, run


def instance_against_instance(world, _):
    """Users by PLAIN and SCRAM, clients' and nodes' certificates, topics: nothing of one is accepted by the other."""
    tried = []
    topic = make_topic(world, f"soak-mine-{world.tag}")
    order = world.order(access={"sasl_ssl": {"user": "stranger", "password": "Kafka-Word-72"}})
    job = world.api("POST", world.path("instances"), order, Idempotency_Key=str(uuid.uuid4()))
    check(job.status == 202, f"the order answered {job.status}: {job.body[-300:]}")
    done = world.wait_job(job.json["id"])
    check(done["state"] == "succeeded", f"the order ended {done['state']}")
    other = world.api("GET", world.path(f"instances/{done['resource']['id']}")).json
    try:
        theirs = [address.rsplit(":", 1)[0] for address in other["bootstrap"]["private_sasl_ssl"].split(",")]
        ca = world.files / "other-ca.pem"
        world.sluice("cert", "truststore", other["name"], "--format", "pem", "--out", ca, "--force")
        check(PlainClient.log_in(theirs[0], ca, "stranger", "Kafka-Word-72"), "its own user cannot log in")

        def refused(what, attempt):
            tried.append(what)
            try:
                got_in = attempt()
            except (OSError, ssl.SSLError):
                got_in = False
            check(not got_in, f"{what} was accepted")

        for way in (PlainClient.log_in, PlainClient.scram):
            for host in theirs:
                check(way(host, ca, "stranger", "Kafka-Word-72"), f"its own user is refused by {way.__name__}")
                refused("a user and password", lambda: way(host, ca, world.user, world.password))
            for host in world.hosts:
                refused("a user and password", lambda: way(host, world.ca, "stranger", "Kafka-Word-72"))
        by_certificate(world, other["name"], theirs, ca, refused)
        listing = run("kcat", "-b", other["bootstrap"]["private_plaintext"], "-L", "-t", topic, ok=False).stdout
        refused("a topic", lambda: b"partition 0" in listing)
        for identity in ("internal", "control"):
            for port, what in ((9180, "control API"), (9190, "listener between brokers"), (9191, "listener of controllers")):
                refused(f"the node's {identity} certificate at the {what}", lambda: greets(world, identity, theirs[0], port))
        refused("the password between brokers", lambda: replicates(theirs[0], node_of(world, world.instance)))
        check(replicates(theirs[0], node_of(world, other)), "its own password between brokers is refused")
        # The same attempt with the right certificate, or the refusals would prove nothing.
        for port in (9190, 9191):
            check(greets(world, "internal", theirs[0], port, of=other), f"its own certificate is refused at {port}")
    finally:
        world.wait_job(world.api("DELETE", world.path(f"instances/{other['id']}"), Idempotency_Key=str(uuid.uuid4())).json["id"])
    return f"{len(tried)} attempts of one instance at another, none accepted"


def by_certificate(world, other, theirs, ca, refused):
    """Both ask clients for certificates, and each trusts an authority of its own."""
    mine, named = Authority(world.files, "mine"), (world.instance["name"], other)
    client = mine.client("guest")
    authorities = (mine, Authority(world.files, "theirs"))
    try:
        for name, authority in zip(named, authorities):
            world.sluice("access", "certificates", "trust", name, "--ca", authority.pem)
            world.sluice("access", "set", name, "--mtls", "on")
        for host in world.hosts:
            check(mtls.connect(world, host, client), "its own client's certificate is refused")
        for host in theirs:
            refused("a client's certificate", lambda: mtls.connect(world, host, client, ca))
    finally:
        for name in named:
            world.sluice("access", "certificates", "clear", name)


def node_of(world, instance):
    """What its first node was told."""
    return json.loads((world.home / "nodes" / instance["id"] / "0" / "spec.json").read_text())


def replicates(host, spec):
    """Whether a broker takes this one's password for a broker's."""
    client = PlainClient(socket.create_connection((host, 9194), timeout=10))
    return client.proves("sluice-node", spec["kafka"]["replication_password"])


def greets(world, identity, host, port, of=None):
    """Whether a server goes on with who shows a node's certificate of an instance, by default this one's."""
    spec = node_of(world, of or world.instance)
    tls = spec["kafka"]["internal_tls"] if identity == "internal" else spec["gateway"]["control_tls"]
    pem = world.files / f"stolen-{uuid.uuid4().hex}.pem"
    pem.touch(mode=0o600)
    try:
        pem.write_text(tls["key_pem"] + tls["certificate_pem"])
        context = ssl.create_default_context()
        # The thief does not care whom they talk to.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(pem)
    finally:
        os.unlink(pem)
    with context.wrap_socket(socket.create_connection((host, port), timeout=10), server_hostname=host) as connection:
        # With TLS 1.3 a refused certificate shows at the first answer.
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n" if port == 9180 else b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff")
        return bool(connection.recv(1))
