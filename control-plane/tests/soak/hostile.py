"""Peers that mean ill, beside clients that must not notice."""

import os
import random
import resource
import selectors
import socket
import ssl
import struct
import threading
import time
from contextlib import contextmanager

from changes import live
from gateways import gateway
from ledger import percentile, until
from sluice import Failed, PlainClient, check

# What a broken frame's sender waits at most for its end.
CUT_OFF = 5
# The time that a login may take, and what a busy machine adds.
LOGIN_DEADLINE, LATE = 10, 5
# Seconds a byte: the head of a request would be there after the deadline.
DRIBBLE = 1
HELLO = struct.pack(">ihhih", 10, 18, 0, 1, -1)


def memory(world):
    """Resident bytes of all gateways."""
    pages = sum(int(open(f"/proc/{gateway(world, host)}/statm").read().split()[1]) for host in world.hosts)
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def good_clients(world, count):
    """Clients by 9092 and 9093 that ask all the time; one that is not answered is a fault. Gives how long answers took."""
    brokers = world.hosts
    clients = [PlainClient.anonymous(brokers[n % len(brokers)], source="127.0.3.1") for n in range(count // 2)] + live(world, count // 2)
    stop, took, faults = threading.Event(), [], []

    def ask(some):
        while not stop.wait(0.02):
            for client in some:
                began = time.monotonic()
                try:
                    check(client.ask(18, 0, b"") == 0, "a good client got an error")
                except (OSError, Failed) as error:
                    faults.append(error)
                    return
                took.append(time.monotonic() - began)

    threads = [threading.Thread(target=ask, args=(clients[n::4],), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield took
        check(not faults, f"{len(faults)} good clients were harmed: {faults[:1]}")
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
        for client in clients:
            client.connection.close()


def frame(key, version, body, length=None):
    head = struct.pack(">hhih", key, version, 7, -1)
    return struct.pack(">i", len(head) + len(body) if length is None else length) + head + body


def attempts(rng):
    """Port, bytes, and whether the gateway must end the connection by itself."""
    noise = rng.randbytes(rng.randrange(1, 400))
    return rng.choice([
        (9092, frame(18, 0, noise, length=-rng.randrange(1, 1 << 31)), True),
        (9092, frame(0, 9, noise, length=rng.randrange(200 << 20, 1 << 31)), True),
        (9092, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise, True),
        (9092, b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n", True),
        (9092, frame(rng.randrange(200, 30000), 0, noise), True),
        (9092, frame(rng.randrange(0, 90), rng.randrange(100, 30000), noise), None),
        (9092, frame(rng.randrange(0, 90), rng.randrange(0, 18), noise), None),
        (9092, frame(19, 5, noise + b"\xff" * 8), None),
        (9092, HELLO[:rng.randrange(1, len(HELLO))], None),
        (9093, noise if noise[0] != 0x16 else b"\0" + noise, None),
        (9093, b"\x16\x03\x01" + noise, None),
    ])


def frames(world, count):
    """Broken frames of many kinds: whoever sent one is cut off, nobody else notices, memory stays."""
    brokers, slow, ended, unexpected = world.hosts, [], 0, []
    before = memory(world)

    def attack(number):
        nonlocal ended
        rng = random.Random(number)
        for turn in range(count // 4):
            port, data, must_end = attempts(rng)
            with socket.create_connection((brokers[turn % len(brokers)], port), timeout=15, source_address=(f"127.0.4.{number * 8 + turn % 8}", 0)) as peer:
                try:
                    peer.sendall(data)
                    if must_end:
                        began = time.monotonic()
                        while peer.recv(4096):
                            pass
                        slow.append(time.monotonic() - began)
                except TimeoutError:
                    unexpected.append(data[:16])
                except OSError:
                    slow.append(0.0)
            ended += 1

    with good_clients(world, 100 if count > 10_000 else 20) as took:
        attackers = [threading.Thread(target=attack, args=(n,), daemon=True) for n in range(4)]
        for one in attackers:
            one.start()
        for one in attackers:
            one.join()
        check(not unexpected, f"{len(unexpected)} were not cut off: {unexpected[:2]}")
        check(ended == count // 4 * 4, f"{ended} of {count} attempts were made")
    check(max(slow) < CUT_OFF, f"one was cut off after {max(slow):.1f} s")
    grown = max(0, memory(world) - before)
    check(grown < 3 * 32 << 20, f"the gateways grew by {grown >> 20} MiB")
    return f"{ended} broken frames: cut off within {max(slow):.2f} s, p99 {percentile(slow, 0.99) * 1000:.0f} ms; {len(took)} answers to good clients, p99 {percentile(took, 0.99) * 1000:.0f} ms; +{grown >> 20} MiB over 3 gateways"


class SlowPeers:
    """Peers whose end is noticed when it comes. Some send what they have a byte at a time."""

    def __init__(self):
        self.open, self.lived, self.dribbled = selectors.DefaultSelector(), [], time.monotonic()

    def add(self, address, source, first, rest=b""):
        peer = socket.create_connection(address, timeout=30, source_address=(source, 0))
        peer.sendall(first)
        self.open.register(peer, selectors.EVENT_READ, [time.monotonic(), rest])

    def look(self, wait=0.0):
        """Lets the slow ones send their next bytes, and takes note of who was ended."""
        if time.monotonic() - self.dribbled > DRIBBLE:
            self.dribbled = time.monotonic()
            for key in list(self.open.get_map().values()):
                byte, key.data[1] = key.data[1][:1], key.data[1][1:]
                try:
                    key.fileobj.send(byte) if byte else None
                except OSError:
                    pass  # It has ended, which is seen below.
        for key, _ in self.open.select(wait):
            try:
                ended = not key.fileobj.recv(65536)
            except OSError:
                ended = True
            if ended:
                self.lived.append(time.monotonic() - key.data[0])
                self.open.unregister(key.fileobj)
                key.fileobj.close()

    def left(self):
        return len(self.open.get_map())


def slow_peers(world, count):
    """Silent, in the middle of a frame, in the middle of a handshake, a byte at a time: ended before they are logged in."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(count * 2, 4096), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    brokers, before, began = world.hosts, memory(world), time.monotonic()
    hello = ssl.create_default_context()
    hello.check_hostname, hello.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        hello.wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        handshake = outgoing.read()
    kinds = [(9092, b""), (9092, HELLO[:7]), (9093, b""), (9093, handshake), (9093, handshake[:40]), (9092, b"", HELLO), (9093, b"", handshake)]
    with good_clients(world, 20) as took:
        until("good clients are answered", lambda: len(took) > 1000)
        alone = list(took)
        peers = SlowPeers()
        for number in range(count):
            port, *sent = kinds[number % len(kinds)]
            peers.add((brokers[number % len(brokers)], port), f"127.0.5.{1 + number // 100}", *sent)
            peers.look()
        last = time.monotonic()
        while peers.left():
            check(time.monotonic() - last < 30, f"{peers.left()} were not ended in 30 s")
            peers.look(0.1)
    check(len(peers.lived) == count, f"{len(peers.lived)} of {count} were ended")
    longest = max(peers.lived)
    check(longest < LOGIN_DEADLINE + LATE, f"one lived for {longest:.1f} s")
    grown = max(0, memory(world) - before)
    return f"{count} slow peers ended within {longest:.1f} s (in {time.monotonic() - began:.0f} s); answers to good clients p99 {percentile(took[len(alone):], 0.99) * 1000:.0f} ms, {percentile(alone, 0.99) * 1000:.0f} before; +{grown >> 20} MiB"
