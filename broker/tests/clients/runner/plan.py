"""The table of cases, and the lines by which a client program is told what to do.

A plan is a line a case, of tab-separated `key=value`: every language can read that. The password is never
in it; programs take it from the environment variable KAFKA_PASSWORD.
"""

import tomllib
import uuid
from dataclasses import dataclass, field
from pathlib import Path

TRUSTSTORE_PASSWORD = "dms@kafka"  # product.md §5
_TRUST = {"pem": ("PEM", (".pem", ".crt")), "p12": ("PKCS12", (".p12",)), "jks": ("JKS", (".jks",))}


@dataclass(frozen=True)
class Target:
    """An instance: addresses of every broker on both paths, a user, trust stores, Kafka's line."""

    plaintext: str
    sasl_ssl: str
    user: str
    password: str = field(repr=False)
    truststores: Path
    kafka: str
    kind: str  # "instance", or "direct" for a plain Kafka

    def bootstrap(self, path: str) -> str:
        return self.plaintext if path == "plaintext" else self.sasl_ssl

    def truststore(self, kind: str) -> Path:
        suffixes = _TRUST[kind][1]
        found = sorted(f for f in self.truststores.iterdir() if f.suffix in suffixes)
        if not found:
            raise SystemExit(f"clients: no {kind} trust store in {self.truststores} ({' or '.join(suffixes)})")
        return found[0]


@dataclass(frozen=True)
class Case:
    client: str
    way: str
    scenario: str
    fields: dict

    @property
    def name(self) -> str:
        return f"{self.client} {self.way} {self.scenario}"

    def line(self) -> str:
        pairs = {"id": self.name, "scenario": self.scenario, **self.fields}
        return "\t".join(f"{key}={value}" for key, value in pairs.items() if value not in (None, ""))


@dataclass(frozen=True)
class Topic:
    name: str
    partitions: int
    config: dict


class Plan:
    """Every case for a target, and the topics that have to be there first."""

    def __init__(self, table: Path, target: Target):
        self._table = tomllib.loads(table.read_text())
        self._target = target
        self._run = uuid.uuid4().hex[:6]
        self.cases: list[Case] = []
        self.topics: dict[str, Topic] = {}
        for block in self._table["cases"]:
            if target.kafka not in block.get("kafka", [target.kafka]) or target.kind != block.get("only", target.kind):
                continue
            for client in block["clients"]:
                for way in block["ways"]:
                    for scenario in block["scenarios"]:
                        self._add(client, way, scenario)

    def _add(self, client: str, way: str, scenario: str) -> None:
        known = self._table["clients"][client]
        needs = self._table["scenarios"].get(scenario, {})
        line = self._target.kafka
        if line not in known["kafka"] or line not in needs.get("kafka", [line]):
            return
        how = self._table["ways"][way]
        trust = how.get("trust", "pem")
        trust = trust if trust in known["trust"] else known["trust"][0]
        path = how["path"]
        name = f"clients-{self._run}-{client}-{way}-{scenario}"
        fields = {
            "bootstrap": self._target.bootstrap(path),
            "path": path,
            "mechanism": how.get("mechanism"),
            "tls": how.get("tls"),
            "topic": name,
            "user": how.get("user", self._target.user),
            "ca": self._target.truststore("pem"),
            "truststore": self._target.truststore(trust),
            "truststore_type": _TRUST[trust][0],
            "truststore_password": TRUSTSTORE_PASSWORD,
        }
        if scenario == "tls-on-plaintext":
            fields["bootstrap"] = self._target.plaintext
        if scenario == "plaintext-on-tls":
            fields["path"] = "plaintext"
        self.cases.append(Case(client, way, scenario, fields))
        if "partitions" in needs:
            self.topics[name] = Topic(name, needs["partitions"], needs.get("config", {}))

    def topics_of(self, cases: list[Case]) -> list[Topic]:
        names = (case.fields["topic"] for case in cases)
        return [self.topics[name] for name in names if name in self.topics]
