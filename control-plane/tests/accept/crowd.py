"""Row D6: the instance's total of connections, reached from all brokers at once."""

import threading
import time

from sluice import PlainClient, check

FEW = 60


def limits(world):
    return world.api("GET", world.path(f"instances/{world.instance['id']}/connection-limits")).json


class Crowd:
    """Clients of all brokers at once, that stay."""

    def __init__(self, world):
        self.hosts, self.served = world.hosts, []

    def fill(self, hosts=None, each=4):
        """Goes on until every client was refused three times on end; gives how many were served."""
        before = len(self.served)

        def one(host, number):
            refused = 0
            while refused < 3:
                # No address has so many that it would be refused for that.
                client = PlainClient.anonymous(host, source=f"127.0.3.{1 + number}")
                if client:
                    self.served.append(client)
                    refused = 0
                else:
                    refused += 1

        places = [(host, number) for host in hosts or self.hosts for number in range(each)]
        threads = [threading.Thread(target=one, args=place, daemon=True) for place in places]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        return len(self.served) - before

    def leave(self, count):
        for client in self.served[:count]:
            client.connection.close()
        del self.served[:count]

    def of(self, host):
        """Those of one broker."""
        return [client for client in self.served if client.connection.getpeername()[0] == host]

    def forget(self, gone):
        """Those that were ended; gives how many of the others nobody has cut."""
        self.served = [client for client in self.served if client not in gone]
        return self.alive()

    def alive(self):
        """Those that nobody has cut."""
        return sum(not client.closed() for client in self.served)


def settled(world, wanted, seconds=30):
    """The count, when it is what is wanted, or at last."""
    deadline = time.monotonic() + seconds
    while (used := limits(world)["used"]) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    return used


def total(world):
    """The instance's total: lowered, reached from all brokers, raised, reached again; and beyond what was sold by an operator."""
    name, sold = world.instance["name"], world.instance["spec"]["client_connections"]
    crowd = Crowd(world)
    try:
        plan = world.sluice_json("connection", "set-limits", name, "--total", str(FEW), "--dry-run")
        check([change["path"] for change in plan["changes"]] == ["/total"], f"the plan says {plan['changes']}")
        others = settled(world, 0)
        world.sluice("connection", "set-limits", name, "--total", str(FEW))
        count = crowd.fill()
        check(count == FEW - others, f"{count} of {FEW} were served beside {others}")
        check(settled(world, FEW) == FEW, f"the count says {limits(world)}")
        check(f"{FEW} of {FEW}" in world.sluice("connection", "limits", name).stdout.decode(), "the command line shows other figures")
        # All of it before one broker, as soon as others leave.
        crowd.leave(10)
        count = crowd.fill(crowd.hosts[:1], each=8)
        check(count == 10, f"{count} came in where 10 left")
        world.sluice("connection", "set-limits", name, "--total", str(FEW + 20))
        began = time.monotonic()
        count = crowd.fill()
        raised = time.monotonic() - began
        check(count == 20, f"{count} came in where 20 more may be")
        below = world.sluice_json("connection", "set-limits", name, "--total", str(FEW), "--dry-run")
        check("above-the-total" in [check["code"] for check in below["checks"]], f"the plan warns of {below['checks']}")
        world.sluice("connection", "set-limits", name, "--total", str(FEW))
        check(crowd.alive() == FEW + 20 - others, "somebody was cut")
        crowd.leave(20)
        check(crowd.fill() == 0, "one more than the new total was served")
        crowd.leave(1)
        check(crowd.fill() == 1, "the place of one that left was not given")
        refused = world.sluice("connection", "set-limits", name, "--total", str(sold + 1), ok=False)
        check(refused.returncode != 0, "a tenant could have more than was sold")
        world.sluice("operator", "set-connections", world.instance["id"], "--allow", str(sold + 100))
        check(limits(world)["allowed"] == sold + 100, "the operator's allowance is not there")
    finally:
        crowd.leave(len(crowd.served))
        world.sluice("connection", "set-limits", name, "--total", "default", "--per-ip", "default")
        world.sluice("operator", "set-connections", world.instance["id"], "--allow", "default")
    return f"the instance's total of {FEW}, then {FEW + 20} ({raised:.0f} s to fill and be refused), exactly, from all brokers; lowered, nobody was cut"
