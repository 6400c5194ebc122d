"""The same load from etcd's own load tool, to check tidebench's figures by somebody else's.

Server CPU per request should agree; throughput and latency only as far as that client, which takes
several times more CPU, leaves the server enough of the machine.
"""

import dataclasses
import json
import re
import subprocess

import cases
import figures
import measuring
import quiet_disk
import servers
import tables

CONNECTIONS = 8
CLIENTS = 64
KEYS = 10_000
SHOWN = ("cpu_us", "per_s", "p50", "p99")


@dataclasses.dataclass(frozen=True)
class Load:
    """A load as alike as both tools can make it."""
    name: str
    of_tidebench: tuple
    of_etcds_tool: tuple
    fill_with_tidebench: bool = False

    def tidebench(self, seconds, warm_up):
        return [*self.of_tidebench, "--clients", CLIENTS, "--connections", CONNECTIONS,
                "--seconds", seconds, "--warm-up", warm_up]


# etcd's tool puts under bytes that are no key of Kubernetes, so tidebench does not put pods either. It reads a single
# key, and tidebench one for each client, which is the fewest it can.
PREFIX = "second-opinion/load/key-"
KEY = "/registry/pods/load/pod-00000001"
LOADS = (
    Load("put", ("put", "--prefix", PREFIX, "--keys", KEYS),
         ("put", "--val-size", 1024, "--key-size", len(PREFIX) + 8, "--key-space-size", KEYS)),
    Load("get", ("get", "--keys", CLIENTS), ("range", KEY, "--limit", 1), fill_with_tidebench=True),
)


def parse(output):
    """{"per_s", "p50", "p99"}, latencies in us."""
    def seconds(pattern):
        return float(re.search(pattern + r"\s*([0-9.]+)", output).group(1))
    return {"per_s": seconds(r"Requests/sec:"), "p50": seconds(r"50% in") * 1e6,
            "p99": seconds(r"99% in") * 1e6}


def run_etcds_tool(binary, server, load, total):
    before = servers.cpu_seconds(server.pid)
    command = [binary, *load, "--endpoints", f"127.0.0.1:{server.port}",
               "--conns", CONNECTIONS, "--clients", CLIENTS, "--total", total]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"etcd's tool failed: {done.stderr.strip()[-500:]}")
    result = parse(done.stdout)
    result["cpu_us"] = (servers.cpu_seconds(server.pid) - before) * 1e6 / total
    return result


def by_tidebench(arguments, contender, load):
    with fresh_server(arguments, contender) as server:
        result = measuring.run_tidebench(arguments, server, load.tidebench(arguments.seconds, arguments.warm_up))
    return {name: figures.FIGURES[name](result) for name in SHOWN}


def by_etcds_tool(arguments, contender, load):
    """Filled and warmed up as by tidebench; the rate that was seen meanwhile says how many requests take so long."""
    def run(total, *more):
        return run_etcds_tool(arguments.etcd_benchmark_binary, server, [*load.of_etcds_tool, *more], max(1, int(total)))

    with fresh_server(arguments, contender) as server:
        if load.fill_with_tidebench:
            measuring.run_tidebench(arguments, server, load.tidebench(0.1, 0))
            per_s = run(KEYS)["per_s"]
        else:
            per_s = run(KEYS, "--sequential-keys")["per_s"]
        per_s = run(per_s * max(0.1, arguments.warm_up))["per_s"]
        return run(per_s * arguments.seconds)


def fresh_server(arguments, contender):
    quiet_disk.wait(arguments.directory)
    return measuring.fresh_server(arguments, contender, cases.Case("put", CLIENTS))


def measure(arguments, names):
    """Rows as they come: {"load", "contender", "client", and what is shown}."""
    for contender in names:
        for load in LOADS:
            for client, by in (("tidebench", by_tidebench), ("etcd's benchmark", by_etcds_tool)):
                yield {"load": load.name, "contender": contender, "client": client,
                       **by(arguments, contender, load)}


def table(rows):
    lines = tables.head("workload", "clients", "server", "client", "server CPU, us/request",
                        "requests/s", "p50, us", "p99, us")
    return lines + [tables.row(row["load"], CLIENTS, tables.NAMES[row["contender"]], row["client"],
                               *(figures.number(row[name]) for name in SHOWN)) for row in rows]


def run(arguments, names, header, folder):
    """Prints the table, and leaves it and its figures in the folder."""
    rows = []
    try:
        for row in measure(arguments, names):
            rows.append(row)
    finally:
        report = "\n".join([*header, "", *table(rows)]) + "\n"
        (folder / "second-opinion.md").write_text(report)
        (folder / "second-opinion.json").write_text(json.dumps(rows, indent=1) + "\n")
        print(report, end="")
