"""G1 to G10: what the gateway costs a client's bytes, against Kafka's own listeners, a naive copy loop, kafka-proxy and Kroxylicious."""

import json
import os
import resource
import subprocess
import time

from measure import cpu_seconds, interleaved, rss_bytes, table, wait_for
from rig import COPY, COPY_TLS, GATEWAY, GATEWAY_TLS, HOST, PASSWORD, UPSTREAM, USER, sh

IDLE_CONNECTIONS = 20_000
# Of one gateway: each is two files.
MOST_CONNECTIONS = min(IDLE_CONNECTIONS, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500) // 2)
# Consuming takes a tenth of the time: of so many MB more, lest a client's start be what is measured.
CONSUMED = 3
PLAIN, TLS = ["direct", "copy", "proxy", "kroxylicious", "gateway"], ["kafka tls", "copy tls", "proxy tls", "kroxylicious tls", "gateway tls"]


def transfer(rig, megabytes, direction, name):
    """Moves the payload once; CPU in ms a MB for relay, broker and client, MB/s, and how much of all cores that took."""
    port, options, relay = rig.way(name)
    bootstrap = ",".join(f"{one.host}:{port}" for one in rig.all)
    processes = {f"{who} {one.node_id}": one.pids[who] for one in rig.all for who in ("broker", relay) if who}
    before, began, others = {who: cpu_seconds(pid) for who, pid in processes.items()}, time.monotonic(), ended_children()
    kcat(rig, direction, bootstrap, options, megabytes)
    wall, client = time.monotonic() - began, (ended_children() - others) * 1000 / megabytes
    spent = lambda kind: sum((cpu_seconds(pid) - before[who]) * 1000 / megabytes for who, pid in processes.items() if who.startswith(f"{kind} "))
    own, relayed = spent("broker"), spent(relay) if relay else 0.0
    rate = megabytes / wall
    busy = (client + own + relayed) / 1000 * rate / os.cpu_count()
    return {"relay": relayed, "broker": own, "sum": own + relayed, "rate": rate, "client": client, "busy": busy}


def ended_children():
    """CPU seconds of children that have ended: of the benchmark's, only clients do while something is measured."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kcat(rig, direction, bootstrap, options, megabytes):
    base = ["-b", bootstrap, "-t", "load", *options]
    if direction == "produce":
        command = ["kcat", "-P", *base, "-X", "acks=all", "-X", "batch.size=65536", "-X", "linger.ms=5",
                   "-X", "queue.buffering.max.kbytes=262144", "-X", "queue.buffering.max.messages=1000000", "-l", str(rig.payload)]
    else:
        command = ["kcat", "-C", *base, "-o", "beginning", "-e", "-q", "-c", str(megabytes * 1000), "-u",
                   "-X", "fetch.message.max.bytes=1048576", "-X", "queued.min.messages=100000"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)


def throughput(rig, megabytes, quick):
    # What a broker spends on producing settles late, and differs by half from round to round: its JVM compiles, flushes and drops what is old.
    plan = {"produce": (megabytes, *((3, 1) if quick else (9, 6))), "consume": (megabytes * CONSUMED, *((3, 1) if quick else (9, 4)))}
    ways = [name for name in PLAIN + TLS if rig.has(name)]
    results = {}
    for direction, (moved, rounds, warm_up) in plan.items():
        results[direction] = interleaved(ways, rounds, warm_up, lambda name: transfer(rig, moved, direction, name))
        reference = {name: results[direction]["kafka tls" if "tls" in name else "direct"] for name in ways}
        table(
            f"{direction}: CPU ms a MB, medians of {rounds} rounds of {moved} MB after {warm_up} to warm up",
            ["way", "relay", "broker", "sum", "sum ÷ Kafka's own", "rate ÷ Kafka's own", "MB/s", "client", "cores busy"],
            [[name, f"{f['relay']:.2f}", f"{f['broker']:.2f}", f"{f['sum']:.2f}", f"{f['sum'] / reference[name]['sum']:.2f}",
              f"{f['rate'] / reference[name]['rate']:.2f}", f"{f['rate']:.0f}", f"{f['client']:.2f}", f"{f['busy']:.0%}"] for name, f in results[direction].items()],
        )
    goals = []
    for goal, direction, way, limit in (("G1", "consume", "gateway", 0.5), ("G2", "produce", "gateway", 0.8),
                                        ("G3", "consume", "gateway tls", 1.2), ("G4", "produce", "gateway tls", 1.6)):
        ours = results[direction][way]["relay"]
        peers = {peer: results[direction].get(way.replace("gateway", name)) for name, peer in
                 (("copy", "copy loop"), ("proxy", "kafka-proxy"), ("kroxylicious", "Kroxylicious"))}
        beside = ", ".join(f"{ours / figures['relay']:.2f} × {peer}" for peer, figures in peers.items() if figures)
        goals.append([goal, f"{way} {direction}, gateway ms a MB", f"{ours:.2f}", f"{limit}", beside])
    for direction, limit in (("consume", 0.8), ("produce", 0.95)):
        ratio = results[direction]["gateway tls"]["sum"] / results[direction]["kafka tls"]["sum"]
        goals.append(["G5", f"TLS {direction}, gateway + broker ÷ Kafka's own TLS", f"{ratio:.2f}", f"{limit}", ""])
    for way, own, limit in (("gateway", "direct", 0.9), ("gateway tls", "kafka tls", 1.0)):
        goals.append(["G6", f"consume rate, {way} ÷ {own}", f"{results['consume'][way]['rate'] / results['consume'][own]['rate']:.2f}", f"≥ {limit}", ""])
    return goals


def latency(rig, rate, seconds, rounds):
    tool = rig.binaries / "examples" / "latency"
    ports = {"direct": UPSTREAM, "copy": COPY, "gateway": GATEWAY}
    figures = interleaved(list(ports), rounds, 1, lambda name: json.loads(sh(tool, f"{HOST}:{ports[name]}", "latency", str(rate), str(seconds))))
    table(f"latency of 1 KiB produce at {rate}/s, open loop, µs, medians of {rounds}", ["way", "p50", "p90", "p99"],
          [[name, *(f"{f[q]:.0f}" for q in ("p50", "p90", "p99"))] for name, f in figures.items()])
    added = figures["gateway"]["p50"] - figures["direct"]["p50"]
    return [["G7", "added p50, µs", f"{added:+.0f}", "≤ +60", f"copy loop {figures['copy']['p50'] - figures['direct']['p50']:+.0f}"],
            ["G7", "p99 ÷ direct", f"{figures['gateway']['p99'] / figures['direct']['p99']:.2f}", "≤ 1.15", ""]]


def held(rig, what, port, count, *rest):
    """Connections of the tool until the block ends."""
    holder = rig.processes.start(f"{what}-{port}", [rig.binaries / "examples" / "connections", what, f"{rig.host}:{port}", count, *rest],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said = holder.stdout.readline().decode().strip()
    return holder, said == f"held {count}"


def let_go(rig, holder):
    """Until the gateway counts none of them: what comes next needs its files and its places."""
    rig.processes.stop(holder)
    wait_for("the gateway's closing of connections", lambda: clients(rig) == 0)


def clients(rig):
    """Connections to the gateway's ports that it has not closed."""
    lines = sh("ss", "-Htnp", "state", "connected", f"( sport = :{GATEWAY} or sport = :{GATEWAY_TLS} )").splitlines()
    return sum(f"pid={rig.pids['gateway']}," in line for line in lines)


def idle(rig, count):
    """Memory of the gateways of all brokers while clients hold so many connections to them, evenly."""
    goals, each = [], -(-count // len(rig.all))
    login = ["login", rig.pki / "public-ca.pem", USER, PASSWORD]
    memory = lambda: sum(rss_bytes(one.pids["gateway"]) for one in rig.all)
    for kind, port, way, limit in (("plain", GATEWAY, ["plain"], 12), ("tls", GATEWAY_TLS, login, 40)):
        before = memory()
        holders = [(one, *held(one, "hold", port, each, *way)) for one in rig.all]
        figure = (memory() - before) / (each * len(rig.all)) / 1024
        ready = all(ready for *_, ready in holders)
        where = f"{each * len(rig.all)} idle {kind} connections at {len(rig.all)} gateways"
        goals.append(["G8", f"{where}, KiB each", f"{figure:.1f}" if ready else "failed", f"≤ {limit}", ""])
        for one, holder, _ in holders:
            let_go(one, holder)
    return goals


def in_flight(rig, count=200, size=10_000_000):
    """Memory of the gateway while so many large requests are on their way and none ends."""
    goals = []
    login = ["login", rig.pki / "public-ca.pem", USER, PASSWORD]
    for kind, port, way in (("plain", GATEWAY, ["plain"]), ("tls", GATEWAY_TLS, login)):
        before = rss_bytes(rig.pids["gateway"])
        holder, ready = held(rig, "stuck", port, count, *way, size)
        grown = (rss_bytes(rig.pids["gateway"]) - before) / (1 << 20)
        goals.append(["G9", f"{count} × {size // 1_000_000} MB in flight, {kind}, MiB", f"{grown:.0f}" if ready else "failed", "≤ 64", ""])
        let_go(rig, holder)
    return goals


def handshakes(rig, count, rounds):
    """TLS 1.3 with ECDSA and a login by PLAIN, against the handshake alone at the copy loop; by CPU of who serves."""
    ca = rig.pki / "public-ca.pem"
    ways = {"copy tls": ("copy-tls", COPY_TLS, ["tls", ca]), "gateway": ("gateway", GATEWAY_TLS, ["login", ca, USER, PASSWORD])}

    def churn(name):
        who, port, way = ways[name]
        before = cpu_seconds(rig.pids[who])
        seconds = float(sh(rig.binaries / "examples" / "connections", "churn", f"{HOST}:{port}", count, *way))
        return {"cpu": (cpu_seconds(rig.pids[who]) - before) * 1000 / count, "rate": count / seconds}

    figures = interleaved(list(ways), rounds, 1, churn)
    table(f"{count} new connections, medians of {rounds}", ["way", "CPU ms each", "a second"],
          [[name, f"{f['cpu']:.2f}", f"{f['rate']:.0f}"] for name, f in figures.items()])
    ours, bare = figures["gateway"], figures["copy tls"]
    return [["G10", "handshakes with login a core, gateway ÷ bare handshakes", f"{bare['cpu'] / ours['cpu']:.2f}", "≥ 0.6", f"{ours['cpu']:.2f} ms each"],
            ["G10", "3000 logins, s", f"{3000 / ours['rate']:.1f}", "≤ 5", "client and broker on the same cores"]]


def write_payload(rig, path, megabytes):
    rig.payload = path
    line = ("x" * 999 + "\n").encode()
    with open(path, "wb") as out:
        for _ in range(megabytes):
            out.write(line * 1000)


def start(rig):
    """Everything that is compared."""
    rig.certificates()
    rig.start_kafka()
    rig.wait_for_kafka()
    rig.create_topic("load")
    rig.create_topic("latency", 1)
    rig.start_gateway()
    rig.start_copy_loops()
    rig.start_kafka_proxy()
    rig.start_kroxylicious()


def run(rig, quick):
    megabytes = 100 if quick else 400
    write_payload(rig, rig.work / "payload", megabytes)
    goals = throughput(rig, megabytes, quick)
    return goals + latency(rig, 500, 3 if quick else 20, 3)


def connections(rig, quick):
    # What grows is measured before what leaves memory behind.
    goals = in_flight(rig)
    goals += handshakes(rig, 500 if quick else 3000, 3)
    return goals + idle(rig, 1000 if quick else MOST_CONNECTIONS)
