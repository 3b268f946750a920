"""Peers that mean ill, beside clients that must not notice."""

import os
import random
import resource
import socket
import ssl
import struct
import threading
import time
from contextlib import contextmanager

from changes import live
from gateways import gateway
from ledger import percentile
from sluice import Failed, PlainClient, check

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
    grown = max(0, memory(world) - before)
    check(grown < 3 * 32 << 20, f"the gateways grew by {grown >> 20} MiB")
    return f"{ended} broken frames: cut off within {max(slow):.2f} s, p99 {percentile(slow, 0.99) * 1000:.0f} ms; {len(took)} answers to good clients, p99 {percentile(took, 0.99) * 1000:.0f} ms; +{grown >> 20} MiB over 3 gateways"


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
    kinds = [(9092, b""), (9092, HELLO[:7]), (9093, b""), (9093, handshake), (9093, handshake[:40])]
    with good_clients(world, 20) as took:
        peers = []
        for number in range(count):
            port, first = kinds[number % len(kinds)]
            peer = socket.create_connection((brokers[number % len(brokers)], port), timeout=30, source_address=(f"127.0.5.{1 + number // 100}", 0))
            peer.sendall(first)
            peers.append((time.monotonic(), peer))
        lived = []
        for opened, peer in peers:
            try:
                while peer.recv(65536):
                    pass
            except ConnectionError:
                pass
            except TimeoutError:
                raise Failed("one was not ended in 30 s") from None
            lived.append(time.monotonic() - opened)
            peer.close()
    check(max(lived) < 20, f"one lived for {max(lived):.0f} s")
    grown = max(0, memory(world) - before)
    return f"{count} slow peers ended within {max(lived):.1f} s (in {time.monotonic() - began:.0f} s); answers to good clients p99 {percentile(took, 0.99) * 1000:.0f} ms; +{grown >> 20} MiB"
