"""Row G1, and what D6 counts by: metrics of an instance, as its tenant's Prometheus and command line read them."""

import re

from rows import refused, row
from sluice import Api, check

SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')


class Scraper:
    """What a tenant gives its Prometheus: a viewer's key that may read instances and nothing else."""

    def __init__(self, world):
        self.world, self.path = world, world.path(f"instances/{world.instance['id']}/metrics/prometheus")
        account = world.api("POST", world.path("service-accounts"), {"name": f"prometheus-{world.tag}", "role": "viewer"})
        check(account.status == 201, f"the service account answered {account.status} {account.code}")
        self.account = world.path(f"service-accounts/{account.json['id']}")
        key = world.api("POST", f"{self.account}/keys", {"scopes": ["instance-read"]})
        check(key.status == 201, f"the key answered {key.status} {key.code}")
        self.api = Api(world.url, key.json["secret"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.world.api("DELETE", self.account)

    def text(self):
        answer = self.api("GET", self.path)
        check(answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"),
              f"the scrape answered {answer.status} {answer.headers['Content-Type']}")
        return answer.body.decode()

    def by_rest(self, metric, **labels):
        """The samples' sum."""
        samples = [sample.groups() for line in self.text().splitlines() if (sample := SAMPLE.match(line))]
        return added(((name, dict(re.findall(r'(\w+)="([^"]*)"', inside or "")), value) for name, inside, value in samples), metric, labels)

    def by_command(self, metric, **labels):
        told = self.world.sluice_json("instance", "metrics", self.world.instance["name"], "-q", metric)
        return added(((one["name"], one["labels"], one["value"]) for one in told), metric, labels)


def added(samples, metric, wanted):
    values = [float(value) for name, labels, value in samples if name == metric and wanted.items() <= labels.items()]
    check(values, f"there is no {metric} with {wanted}")
    return sum(values)


@row("G1")
def prometheus(world):
    """What clients do is in the scrape of their instance, and in nobody else's reach."""
    topic, brokers = f"counted-{world.tag}", [str(broker["id"]) for broker in world.instance["brokers"]]
    world.make_topic(topic)
    with Scraper(world) as scraper:
        check(all(scraper.by_rest("sluice_node_up", broker=broker) == 1 for broker in brokers), "a node is down")
        traffic = {"path": "private-sasl-ssl", "direction": "in", "instance_id": world.instance["id"]}
        read = lambda: scraper.by_rest("sluice_node_client_traffic_bytes_total", **traffic)
        before = read()
        world.kcat("-P", "-t", topic, "-p", "0", "-X", "compression.codec=none", tls="PLAIN", stdin=b"x" * 100_000)
        check(100_000 <= read() - before < 200_000, f"100 kB came in, {read() - before:.0f} were counted")
        check("sluice_node_build_info" not in scraper.text(), "a tenant sees what is for operators")
        told = world.sluice("operator", "metrics", world.instance["id"], "--prometheus").stdout.decode()
        check(told.count("sluice_node_build_info{") == len(brokers), "an operator does not see the nodes' builds")
        refused(scraper.api("GET", world.path("jobs")), 403, "forbidden")
        refused(world.anonymous("GET", scraper.path), 401, "unauthenticated")
    return "every broker in one scrape with a viewer's key; names of SYS.DMS, ranges, dashboards not yet"
