"""Row D6: clients that come through a balancer, which says who they are by the PROXY protocol, version 2."""

import json
import socket
import struct

from paths import endpoints
from sluice import Failed, PlainClient, check, eventually

# One that the platform knows, one that it does not, clients behind the first, and who nobody is.
BALANCER, STRANGER, CLIENT, OTHER, CLAIMED = "127.0.91.1", "127.0.92.1", "127.0.0.89", "127.0.0.90", "203.0.113.7"
# Beside what one address may have by default, since something must change.
PER_IP = 190


def introduction(client, broker):
    """As HAProxy's `send-proxy-v2` writes it, for TCP over IPv4."""
    addresses = socket.inet_aton(client[0]) + socket.inet_aton(broker[0]) + struct.pack(">HH", client[1], broker[1])
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack(">BBH", 0x21, 0x11, len(addresses)) + addresses


def introduced(host, source):
    """Whether a peer is served that comes from `source` and says it is somebody else."""
    peer = PlainClient(socket.create_connection((host, 9092), timeout=10, source_address=(source, 0)))
    try:
        peer.connection.sendall(introduction((CLAIMED, 4001), (host, 9092)))
        return peer.ask(18, 0, b"") == 0
    except (OSError, Failed):
        return False
    finally:
        peer.connection.close()


def of_true_addresses(world):
    """What one address may have counts for clients, not for the balancer they come through; nobody else is believed who somebody is."""
    name, host = world.instance["name"], world.hosts[0]
    path = world.path(f"instances/{world.instance['id']}/connections?count=exact&limit=1&ip=")
    counted = lambda address: world.api("GET", path + address).json["total"]

    def known(balancers, per_ip):
        """An instance follows with its next change."""
        world.restart(SLUICE_DRIVER__BALANCERS=json.dumps(balancers))
        world.sluice("connection", "set-limits", name, "--per-ip", str(per_ip))

    check(not introduced(host, BALANCER), "somebody was believed before any balancer was known")
    lines = []
    try:
        known([f"{BALANCER}/32"], PER_IP)
        eventually("the balancer is asked who comes", lambda: introduced(host, BALANCER))
        check(not PlainClient.anonymous(host, source=BALANCER), "a balancer that says nothing was served")
        check(not introduced(host, STRANGER), "an address that is no balancer was believed")
        check(PlainClient.anonymous(host, source=STRANGER), "a client that comes by itself was refused")
        with endpoints([host], BALANCER, 9092, introduce=introduction) as (door,):
            door, port = door.rsplit(":", 1)
            through = lambda source: PlainClient.anonymous(door, int(port), source)
            while len(lines) <= PER_IP and (line := through(CLIENT)):
                lines.append(line)
            check(len(lines) == PER_IP, f"{len(lines)} connections of one address were served through a balancer")
            check(not PlainClient.anonymous(host, source=CLIENT), "one more was served past the balancer")
            check(counted(CLIENT) == len(lines) and counted(BALANCER) == 0, f"{counted(CLIENT)} are counted for the client, {counted(BALANCER)} for the balancer")
            check(through(OTHER), "another client was refused for the first one's connections")
    finally:
        for line in lines:
            line.connection.close()
        known([], "default")
    eventually("nobody is believed any more", lambda: not introduced(host, BALANCER) and PlainClient.anonymous(host, source=BALANCER))
    return f"{PER_IP} of a client through a balancer, where the limit was that, and none of the balancer"
