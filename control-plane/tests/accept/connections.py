"""Rows D6 and D7: how many connections there may be, and who is connected."""

import subprocess

import backoff
import balancers
import crowd
from metrics import Scraper
from rows import row
from sluice import PlainClient, check, eventually, run


@row("D6")
def connection_limits(world):
    name = world.instance["name"]
    host, port = world.instance["bootstrap"]["private_plaintext"].split(",")[0].rsplit(":", 1)
    broker, lines = f"{host}:{port}", []
    listing = lambda: run("kcat", "-b", broker, "-L", "-m", "3", ok=False, timeout=30)
    path = world.path(f"instances/{world.instance['id']}/connections?count=exact&ip=127.0.0.1&broker_id={world.instance['brokers'][0]['id']}")
    gone = lambda what: eventually(f"connections of {what} are gone", lambda: world.api("GET", path).json["total"] == 0)
    gone("the rows before")
    counted = refusals_are_counted(world, host)
    gone("who was counted")
    try:
        while len(lines) < 201 and (line := PlainClient.anonymous(host)):
            lines.append(line)
        check(len(lines) == 200, f"{len(lines)} connections of one address were served")
        check(listing().returncode != 0, "kcat was served beyond the limit")
        check(world.api("GET", path).json["total"] == 200, "the list does not count 200")
        world.sluice("connection", "set-limits", name, "--per-ip", "210")
        while len(lines) < 211 and (line := PlainClient.anonymous(host)):
            lines.append(line)
        check(len(lines) == 210, f"{len(lines)} connections of one address were served after the limit was raised to 210")
    finally:
        for line in lines:
            line.connection.close()
        world.sluice("connection", "set-limits", name, "--per-ip", "default")
    eventually("kcat is served again", lambda: listing().returncode == 0)
    return f"200 for one IP on a broker, 210 after it was raised; {counted}; {backoff.refused_clients_wait(world)}; {crowd.total(world)}; {balancers.of_true_addresses(world)}"


def refusals_are_counted(world, host):
    """As the tenant reads them, by REST and by command, to the last one."""
    metric, beyond, lines = "sluice_node_connections_refused_total", 26, []
    of = {"broker": str(world.instance["brokers"][0]["id"]), "path": "private-plaintext", "reason": "too-many-connections-of-ip"}
    with Scraper(world) as scraper:
        both = lambda: [scraper.by_rest(metric, **of), scraper.by_command(metric, **of)]
        before = both()
        try:
            for _ in range(200 + beyond):
                lines.append(PlainClient.anonymous(host))
            check(lines.count(None) == beyond, f"{lines.count(None)} of {len(lines)} connections of one address were refused")
            rose = [now - then for now, then in zip(both(), before)]
            check(rose == [beyond, beyond], f"{beyond} were refused, REST counted {rose[0]:.0f}, the command line {rose[1]:.0f}")
        finally:
            for line in filter(None, lines):
                line.connection.close()
    return f"{beyond} refusals, counted as {beyond} by REST and command line"


@row("D7")
def who_is_connected(world):
    """A consumer that stays, found by its user and ended."""
    topic, name = f"watched-{world.tag}", f"watcher-{world.tag}"
    world.make_topic(topic)
    path = world.path(f"instances/{world.instance['id']}/connections?client_id={name}&user={world.user}")
    listed = lambda: world.api("GET", path).json["items"]
    options = ["security.protocol=sasl_ssl", "sasl.mechanisms=PLAIN", f"sasl.username={world.user}", f"sasl.password={world.password}",
               f"ssl.ca.location={world.ca}", f"client.id={name}"]
    consumer = subprocess.Popen(["kcat", "-b", world.instance["bootstrap"]["private_sasl_ssl"], "-C", "-t", topic, "-q",
                                 *(part for option in options for part in ("-X", option))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        one = eventually("the consumer is listed at work", lambda: [one for one in listed() if one["requests"] and one["bytes_out"]])[0]
        check(one["software_name"] == "librdkafka" and one["software_version"], f"its library is {one['software_name']} {one['software_version']}")
        check(one["ip"] == "127.0.0.1" and one["path"] == "private-sasl-ssl" and one["requests"] > 0 and one["bytes_out"] > 0, f"it shows {one}")
        check(one["id"] in world.sluice("connection", "list", world.instance["name"], "--user", world.user).stdout.decode(), "the command line does not list it")
        world.sluice("connection", "kick", world.instance["name"], one["id"], "--yes")
        eventually("it has ended", lambda: one["id"] not in [c["id"] for c in listed()])
        eventually("the client is back by itself", listed)
        check(consumer.poll() is None, "the client gave up")
    finally:
        consumer.kill()
        consumer.wait()
    return f"{one['software_name']} {one['software_version']} listed and kicked"
