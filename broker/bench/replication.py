"""Three brokers, three replicas: what clients' TLS costs where it is, and what TLS between the brokers adds; and as many idle
connections as one process may not have."""

from data_path import IDLE_CONNECTIONS, idle, transfer, write_payload
from measure import interleaved, table
from rig import Rig

# Who ends the clients' TLS, and the listener that brokers replicate by: INT by TLS, as the product has it over several machines; REP by a login alone, as it has it on one (docs/adr/0003).
WAYS = {"Kafka, TLS between": ("INT", "kafka tls"), "Kafka, login between": ("REP", "kafka tls"),
        "gateways, TLS between": ("INT", "gateway tls"), "gateways, login between": ("REP", "gateway tls")}


def start(work, tools, binaries, between, network, payload, megabytes):
    brokers = Rig.cluster_of([Rig(work / f"{between}-{n}", tools, binaries, host=f"127.77.{network}.{n}", node_id=n) for n in (1, 2, 3)], between)
    first = brokers[0]
    first.certificates()
    for one in brokers:
        one.start_kafka()
    first.wait_for_kafka()
    first.create_topic("load", 6)
    for one in brokers:
        one.start_gateway()
    write_payload(first, payload, megabytes)
    return first


def run(work, tools, binaries, quick):
    # Compiling costs a JVM more at first than TLS ever does, and six share two cores: figures stand still after about ten rounds.
    megabytes, rounds, warm_up = (100, 3, 1) if quick else (300, 7, 12)
    clusters = {}
    try:
        for network, between in enumerate(("INT", "REP"), start=1):
            clusters[between] = start(work, tools, binaries, between, network, work / "replicated", megabytes)
        figures = interleaved(list(WAYS), rounds, warm_up, lambda name: transfer(clusters[WAYS[name][0]], megabytes, "produce", WAYS[name][1]))
        held = idle(clusters["REP"], 3000 if quick else IDLE_CONNECTIONS)
    finally:
        for first in clusters.values():
            for one in first.all:
                one.processes.stop_all()
    own = figures["Kafka, TLS between"]["sum"]
    table(f"produce with acks=all to three replicas: CPU ms a MB of all brokers and gateways, medians of {rounds} rounds of {megabytes} MB after {warm_up} to warm up",
          ["way", "gateways", "brokers", "sum", "sum ÷ Kafka's own", "MB/s"],
          [[name, f"{f['relay']:.2f}", f"{f['broker']:.2f}", f"{f['sum']:.2f}", f"{f['sum'] / own:.2f}", f"{f['rate']:.0f}"] for name, f in figures.items()])
    return [["G5", f"three replicas, TLS produce, {name} ÷ Kafka's own", f"{figures[name]['sum'] / own:.2f}", "0.95", ""] for name in WAYS if name.startswith("gateways")] + held
