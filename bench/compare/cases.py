"""What is measured: one case is one workload with its options, against each contender."""

import dataclasses

MEMORY, DURABLE = "memory", "durable"


@dataclasses.dataclass(frozen=True)
class Case:
    workload: str
    clients: int
    options: tuple = ()
    limit: str = MEMORY  # of which kind the bare server is; "" when it cannot do this
    group: str = "points"
    label: str = ""

    @property
    def name(self):
        return self.label or self.workload

    def arguments(self):
        return [self.workload, "--clients", self.clients, *self.options]


def points():
    for workload, limit in (("put", DURABLE), ("get", MEMORY), ("get-serializable", MEMORY),
                            ("update-Txn", DURABLE), ("create", DURABLE)):
        for clients in (1, 64):
            yield Case(workload, clients, limit=limit)


def sweep():
    """Throughput against load: more and more requests outstanding."""
    for workload, limit in (("put", DURABLE), ("get", MEMORY)):
        for clients in (4, 16, 256):
            yield Case(workload, clients, limit=limit, group="sweep")


def memory():
    """What a stored key takes: resident bytes after that many creates."""
    yield Case("get", 64, ("--keys", 500_000), group="memory", label="get, 500,000 keys")


def every():
    return [*points(), *sweep(), *memory()]
