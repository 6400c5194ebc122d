"""What is measured: one case is one workload with its options, against each contender."""

import dataclasses

MEMORY, DURABLE = "memory", "durable"
TRANSPORT = "transport"

# kube-apiserver's period of compactions, and of checking each of its caches by a whole list.
APISERVER_PERIOD_S = 300
# In so long a list of each of the four resources comes at that pace, of 24 in a period.
ONE_LIST_OF_EACH_S = 50


@dataclasses.dataclass(frozen=True)
class Case:
    workload: str
    clients: int
    options: tuple = ()
    limit: str = MEMORY  # of which kind the bare server is; "" when it cannot do this
    group: str = "points"
    label: str = ""
    tls: bool = False  # with a certificate that each server makes for itself
    least_seconds: float = 0  # measured, however little is asked for
    compacts_as_apiserver: bool = False
    must_see: tuple = ()  # (part, answers): with fewer a measurement is none
    needs_range_stream: bool = False

    @property
    def name(self):
        return self.label or self.workload

    def arguments(self, seconds, warm_up):
        seconds = max(seconds, self.least_seconds)
        periods = ()
        if self.compacts_as_apiserver:
            periods = ("--check-every", APISERVER_PERIOD_S, "--compact-every", compaction_period(seconds))
        return [self.workload, "--clients", self.clients, *self.options, *periods,
                "--seconds", seconds, "--warm-up", warm_up]

    def unseen(self, result):
        """What this should have measured and did not."""
        seen = {activity["name"]: activity["answers"] for activity in result["activities"]}
        return [f"{seen.get(part, 0)} {part} instead of {least}" for part, least in self.must_see
                if seen.get(part, 0) < least]


def compaction_period(seconds):
    """Two fall into every span: the first of a run has nothing to remove, since each goes up to where the one before came."""
    return min(APISERVER_PERIOD_S, seconds / 2)


def encrypted():
    """The same over TLS; the bare server has none."""
    for workload in ("put", "get", "list"):
        clients = 2 if workload == "list" else 64
        yield Case(workload, clients, ("--insecure-skip-tls-verify",), "", "tls", f"{workload} over TLS", tls=True)


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


def rates():
    """Latency at a fixed rate, counted from when each request was due."""
    for rate in (1_000, 3_000, 10_000):
        yield Case("put", 512, ("--rate", rate), DURABLE, "rates", f"put at {rate:,}/s")


def lists():
    yield Case("pages", 8, group="lists")
    yield Case("list", 2, group="lists")
    yield Case("list-stream", 2, group="lists", needs_range_stream=True)


def watches():
    for watchers, rate in ((100, 500), (1000, 50)):
        yield Case("watch", 64, ("--watchers", watchers, "--rate", rate), MEMORY, "watches",
                   f"watch, {watchers:,} watchers at {rate:,}/s (per delivery)")


def leases():
    yield Case("lease-grant", 64, limit=DURABLE, group="leases")
    yield Case("lease-keep-alive", 64, group="leases")
    yield Case("lease-flood", 64, limit=DURABLE, group="leases")


def mixes():
    """The bare server has no history, so it takes no part."""
    yield Case("compaction", 64, limit="", group="mixes", must_see=(("compactions", 1),))
    yield Case("k8s-100k", 1, ("--scale", 0.1), "", "mixes", "k8s-100k times 0.1",
               least_seconds=ONE_LIST_OF_EACH_S, compacts_as_apiserver=True,
               must_see=(("cache checks", 1), ("compactions", 2)), needs_range_stream=True)


def memory():
    """What a stored key takes: resident bytes after that many were stored."""
    yield Case("get", 64, ("--keys", 500_000), group="memory", label="get, 500,000 keys")


def transport():
    """Tidemark's transport alone, without a store behind it."""
    for clients in (1, 64):
        yield Case("echo", clients, group=TRANSPORT, label="echo (transport alone)")


def every():
    return [*points(), *encrypted(), *sweep(), *rates(), *lists(), *watches(), *leases(), *mixes(), *memory(),
            *transport()]
