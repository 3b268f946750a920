"""More connections than may be."""

import random
import socket
import struct
import threading
import time

from crowd import FEW, Crowd, limits, settled
from ledger import percentile, until
from sluice import PlainClient, check

PER_IP = 200


def total(world, ip):
    answer = world.api("GET", world.path(f"instances/{world.instance['id']}/connections?count=exact&limit=1&ip={ip}"))
    check(answer.status == 200, f"the list answered {answer.status} {answer.code}")
    return answer.json["total"]


def connections(world, count):
    """200 of 250 of one address are served; many that come and go, some by a reset, leave nothing counted."""
    host, crowd, refusals = world.hosts[0], "127.0.0.79", []
    served = []
    for _ in range(PER_IP + 50):
        began = time.monotonic()
        client = PlainClient.anonymous(host, source=crowd)
        served.append(client) if client else refusals.append(time.monotonic() - began)
    kept = sum(client is not None for client in served)
    check(kept == PER_IP and len(refusals) == 50, f"{kept} of 250 were served")
    check(total(world, crowd) == PER_IP, "the list counts otherwise")
    for client in served:
        client.connection.close()
    faults, done = [], threading.Semaphore(0)

    def come_and_go(number):
        rng, source = random.Random(number), f"127.0.2.{number}"
        for _ in range(count // 8):
            client = PlainClient.anonymous(host, source=source)
            if client is None:
                faults.append("one below the limit was refused")
                break
            if rng.random() < 0.3:
                client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.connection.close()
        done.release()

    for number in range(8):
        threading.Thread(target=come_and_go, args=(number,), daemon=True).start()
    for _ in range(8):
        done.acquire()
    check(not faults, faults[:1])
    left = lambda: sum(total(world, ip) for ip in [crowd, *(f"127.0.2.{n}" for n in range(8))])
    until("nothing is counted any more", lambda: left() == 0)
    check(PlainClient.anonymous(host, source=crowd), "the address is refused for ever")
    filled = instance_total(world, max(2, count // 1000))
    return f"{filled}; 200 of 250 of one address served, refusals within {max(refusals) * 1000:.0f} ms, p50 {percentile(refusals, 0.5) * 1000:.1f}; {count} came and went, 0 counted after"


def instance_total(world, rounds):
    """A total that is reached from all brokers and from one, again and again, and never passed."""
    name, crowd, random_ = world.instance["name"], Crowd(world), random.Random(79)
    world.sluice("connection", "set-limits", name, "--total", str(FEW))
    try:
        others = settled(world, 0, seconds=10)
        for round_ in range(rounds):
            where = crowd.hosts if round_ % 2 == 0 else [random_.choice(crowd.hosts)]
            crowd.fill(where)
            check(len(crowd.served) == FEW - others, f"{len(crowd.served)} of {FEW} were served beside {others} in round {round_}")
            check(settled(world, FEW) == FEW, f"the count says {limits(world)}")
            random_.shuffle(crowd.served)
            crowd.leave(random_.randrange(1, FEW - others))
    finally:
        crowd.leave(len(crowd.served))
        world.sluice("connection", "set-limits", name, "--total", "default")
    return f"the instance's {FEW} reached {rounds} times, exactly"
