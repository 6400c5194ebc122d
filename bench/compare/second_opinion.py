"""The same load from etcd's own load tool, to check tidebench's figures by somebody else's.

Server CPU per request should agree; throughput and latency only as far as that client, which takes
several times more CPU, leaves the server enough of the machine.
"""

import re
import subprocess

import figures
import servers
import tables

CONNECTIONS = 8
CLIENTS = 64
KEY = "/registry/pods/load/pod-00000001"  # that tidebench has stored
COMMANDS = {
    "put": ["put", "--val-size", 1024, "--key-size", len(KEY), "--key-space-size", 10_000],
    "get": ["range", KEY],
}


def parse(output):
    """{"per_s", "p50", "p99"}, latencies in us."""
    def seconds(pattern):
        return float(re.search(pattern + r"\s*([0-9.]+)", output).group(1))
    return {"per_s": seconds(r"Requests/sec:"), "p50": seconds(r"50% in") * 1e6,
            "p99": seconds(r"99% in") * 1e6}


def load_with_etcds_tool(binary, server, workload, total):
    before = servers.cpu_seconds(server.pid)
    command = [binary, *COMMANDS[workload], "--endpoints", f"127.0.0.1:{server.port}",
               "--conns", CONNECTIONS, "--clients", CLIENTS, "--total", total]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"etcd's tool failed: {done.stderr.strip()[-500:]}")
    result = parse(done.stdout)
    result["cpu_us"] = (servers.cpu_seconds(server.pid) - before) * 1e6 / total
    return result


def rows(binary, server, contender, load_with_tidebench, seconds):
    """`load_with_tidebench(workload)` gives its result for the same number of clients."""
    found = []
    for workload in COMMANDS:
        ours = load_with_tidebench(workload)
        ours = {name: figures.FIGURES[name](ours) for name in ("cpu_us", "per_s", "p50", "p99")}
        total = max(1000, int(ours["per_s"] * seconds))
        theirs = load_with_etcds_tool(binary, server, workload, total)
        for tool, figure in (("tidebench", ours), ("etcd's benchmark", theirs)):
            found.append(tables.row(workload, CLIENTS, tables.NAMES[contender], tool,
                                    *(figures.number(figure[name])
                                      for name in ("cpu_us", "per_s", "p50", "p99"))))
    return found


def head():
    return tables.head("workload", "clients", "server", "client", "server CPU, us/request",
                       "requests/s", "p50, us", "p99, us")
