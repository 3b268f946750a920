"""More connections than may be, and gateways that are killed meanwhile."""

import random
import resource
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import gateways
from crowd import FEW, Crowd, limits, settled
from ledger import percentile, until
from sluice import PlainClient, check

PER_IP = 200
# Of the long form: for so many that come and go a gateway is killed, and the instance's total is reached.
A_ROUND = 1_000
# Beyond what was sold.
TOO_MANY = 50
# Each of them waits for a place, a second at most, so as many are refused in a second.
AT_ONCE = 24


def total(world, ip):
    answer = world.api("GET", world.path(f"instances/{world.instance['id']}/connections?count=exact&limit=1&ip={ip}"))
    check(answer.status == 200, f"the list answered {answer.status} {answer.code}")
    return answer.json["total"]


def counted(world, wanted):
    """That the instance's count is this, as soon as all have told."""
    until(f"{wanted} are counted", lambda: limits(world)["used"] == wanted)


def connections(world, count):
    """200 of 250 of one address; many that come and go while gateways are killed; the instance's total, and what was sold."""
    rounds = max(2, count // A_ROUND)
    said = [of_one_address(world), come_and_go(world, count, rounds), instance_total(world, rounds)]
    if count > A_ROUND * 2:
        said += [sold(world, hosts) for hosts in (world.hosts, world.hosts[:1])]
    return "; ".join(said)


def of_one_address(world):
    """200 of 250 are served, and as many again when these have left."""
    host, crowd, served, refusals = world.hosts[0], "127.0.0.79", [], []
    for _ in range(PER_IP + 50):
        began = time.monotonic()
        client = PlainClient.anonymous(host, source=crowd)
        served.append(client) if client else refusals.append(time.monotonic() - began)
    check(len(served) == PER_IP and len(refusals) == 50, f"{len(served)} of 250 were served")
    check(total(world, crowd) == PER_IP, "the list counts otherwise")
    for client in served:
        client.connection.close()
    until("nothing is counted any more", lambda: total(world, crowd) == 0)
    check(PlainClient.anonymous(host, source=crowd), "the address is refused for ever")
    return f"200 of 250 of one address served, refusals within {max(refusals) * 1000:.0f} ms, p50 {percentile(refusals, 0.5) * 1000:.1f}"


def come_and_go(world, count, kills):
    """Eight clients that are served wherever a gateway is, some of whom leave by a reset, while gateways are killed: nothing is counted afterwards."""
    rng, hosts, stop = random.Random(79), world.hosts, threading.Event()
    served, faults = [0] * 8, []
    # How often each was taken away and came back: odd while it is away.
    turns = dict.fromkeys(hosts, 0)

    def client(number):
        rng, source = random.Random(number), f"127.0.2.{number}"
        while not stop.is_set():
            host = rng.choice(hosts)
            turn = turns[host]
            one = PlainClient.anonymous(host, source=source)
            if one is None:
                if turn % 2 == 0 and turns[host] == turn:
                    faults.append(f"{host} refused one below every limit")
                continue
            served[number] += 1
            if rng.random() < 0.3:
                one.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.connection.close()

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    back = []
    try:
        for _ in range(kills):
            # At random, on average so that all come that are to come.
            more = sum(served) + rng.randrange(1, 2 * count // kills)
            until("more come and go", lambda: faults or sum(served) >= more)
            check(not faults, faults[:1])
            host = rng.choice(hosts)
            turns[host] += 1
            gateways.end(world, host)
            back.append(gateways.serves(host))
            turns[host] += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    check(not faults, faults[:1])
    until("no client is listed any more", lambda: sum(total(world, f"127.0.2.{number}") for number in range(8)) == 0)
    counted(world, 0)
    return f"{sum(served)} came and went while {kills} gateways were killed, each back within {max(back):.2f} s, 0 counted after"


def instance_total(world, rounds):
    """A total that is reached from all brokers and from one, again and again, also after a gateway died with what it held, and never passed."""
    name, crowd, rng = world.instance["name"], Crowd(world), random.Random(79)
    counted(world, 0)
    world.sluice("connection", "set-limits", name, "--total", str(FEW))
    try:
        for round_ in range(rounds):
            crowd.fill(crowd.hosts if round_ % 2 == 0 else [rng.choice(crowd.hosts)])
            check(len(crowd.served) == FEW, f"{len(crowd.served)} of {FEW} were served in round {round_}")
            check(settled(world, FEW) == FEW, f"the count says {limits(world)}")
            host = rng.choice([client.connection.getpeername()[0] for client in crowd.served])
            died = crowd.of(host)
            gateways.end(world, host)
            # Whoever was there is gone, and who was elsewhere is not.
            until("its clients have ended", lambda: all(client.closed() for client in died))
            check(crowd.forget(died) == FEW - len(died), "clients of another gateway have ended")

            def full():
                crowd.fill()
                check(len(crowd.served) <= FEW, f"{len(crowd.served)} of {FEW} were served after a gateway had died, in round {round_}")
                return len(crowd.served) == FEW

            until("the places of the gateway that died are taken", full)
            check(crowd.alive() == FEW, "somebody was cut")
            check(settled(world, FEW) == FEW, f"the count says {limits(world)}")
            rng.shuffle(crowd.served)
            crowd.leave(rng.randrange(1, FEW))
    finally:
        crowd.leave(len(crowd.served))
        world.sluice("connection", "set-limits", name, "--total", "default")
    counted(world, 0)
    return f"the instance's {FEW} reached {2 * rounds} times, exactly, half of them after a gateway died"


def sold(world, hosts):
    """Some more than were sold, before these brokers: all that were sold are served. Nothing but these clients counts: what the brokers, the
    controllers and the control plane say among each other passes no gateway."""
    most = world.instance["spec"]["client_connections"]
    wanted = most + TOO_MANY
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    check(hard == resource.RLIM_INFINITY or hard > wanted * 2, f"{hard} files are too few")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted * 2, hard))
    counted(world, 0)
    # So many addresses that none comes near what one may have at a broker.
    addresses = 1 + 2 * wanted // len(hosts) // PER_IP
    places = [(hosts[number % len(hosts)], f"127.0.6.{1 + number // len(hosts) % addresses}") for number in range(wanted)]
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as clients:
        served = [client for client in clients.map(lambda place: PlainClient.anonymous(place[0], source=place[1]), places) if client]
    took = time.monotonic() - began
    try:
        check(len(served) == most, f"{len(served)} of {wanted} were served, {most} were sold")
        counted(world, most)
        check(not any(client.closed() for client in served), "somebody was cut")
        for client in served[:TOO_MANY]:
            client.connection.close()
        del served[:TOO_MANY]

        def full():
            client = PlainClient.anonymous(hosts[0], source="127.0.6.250")
            served.extend([client] if client else [])
            return len(served) == most

        until("the places of those that left are taken", full)
        check(not PlainClient.anonymous(hosts[0], source="127.0.6.250"), "one more was served")
    finally:
        for client in served:
            client.connection.close()
    counted(world, 0)
    return f"{most} of {wanted} served at {len(hosts)} of the brokers, which is what was sold, in {took:.0f} s"
