#!/usr/bin/env python3
"""Measures what the state costs: memory, restarts, what disturbs puts, and a soak. See --help."""

import argparse
import pathlib
import sys

import interference
import memory
import node
import restart
import results_folder
import servers
import soak


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=["memory", "restart", "interference", "soak"])
    parser.add_argument("--tidemark-binary", required=True)
    parser.add_argument("--etcd-binary", default="", help="measured beside, where it has the same")
    parser.add_argument("--tidebench-binary", required=True)
    parser.add_argument("--directory", required=True, help="for data: on a disk")
    parser.add_argument("--out", required=True, help="where charts go")
    parser.add_argument("--memory-keys", default="1000000,5000000,10000000")
    parser.add_argument("--etcd-memory-keys", default="1000000")
    parser.add_argument("--restart-keys", type=int, default=5_000_000)
    parser.add_argument("--interference-keys", type=int, default=1_000_000)
    parser.add_argument("--soak-keys", type=int, default=890_000, help="beside those of the churn")
    parser.add_argument("--soak-scale", type=float, default=0.1, help="of a cluster of 100,000 nodes")
    parser.add_argument("--soak-minutes", type=float, default=25)
    parser.add_argument("--soak-event-ttl", type=int, default=3660, help="seconds; less is sooner in balance")
    return parser.parse_args()


class Bench:
    def __init__(self, options):
        self.options = options
        self.directory = pathlib.Path(options.directory)
        self.out = results_folder.make(options.out)

    def make_node(self, name, *flags):
        return node.Node(self.options.tidemark_binary, self.directory / name, flags)

    def make_etcd(self, name, *_flags):
        # etcd knows no "no quota" below a number.
        made = node.Node(self.options.etcd_binary, self.directory / name)
        made.server.arguments[-1] = "--quota-backend-bytes=34359738368"
        return made

    def make_client(self, of):
        return node.Client(self.options.tidebench_binary, of)

    def memory(self):
        rows = []
        for keys in map(int, self.options.memory_keys.split(",")):
            rows.append(("Tidemark", memory.measure(self.make_node, self.make_client, keys)))
            print(memory.table(rows[-1:]), file=sys.stderr)
        if self.options.etcd_binary:
            for keys in map(int, self.options.etcd_memory_keys.split(",")):
                rows.append(("etcd", memory.measure(self.make_etcd, self.make_client, keys)))
        return memory.table(rows)

    def restart(self):
        return restart.table(restart.measure(self.make_node, self.make_client, self.options.restart_keys))

    def interference(self):
        file = self.directory / "intervals.jsonl"
        keys = self.options.interference_keys
        found = interference.measure(self.make_node, self.make_client, keys, file)
        checkpoint = interference.measure_checkpoint(self.make_node, self.make_client, keys, file)
        written = checkpoint.pop("bytes")
        text = "Tidemark:\n\n" + interference.table({**found, **checkpoint})
        text += f"\n\nThe checkpoint wrote {written / 1e6:,.0f} MB for {keys:,} keys of 1 KiB."
        if self.options.etcd_binary:
            found = interference.measure(self.make_etcd, self.make_client, keys, file)
            text += "\n\netcd:\n\n" + interference.table(found)
        return text

    def soak(self):
        samples, intervals = soak.run(self.make_node, self.make_client, self.options.soak_keys,
                                      self.options.soak_minutes, self.options.soak_scale,
                                      self.options.soak_event_ttl, self.directory)
        memory_chart, latency_chart = soak.chart(samples, intervals)
        (self.out / "soak-memory.svg").write_text(memory_chart)
        (self.out / "soak-latency.svg").write_text(latency_chart)
        return soak.table(samples, intervals)


def main():
    options = parse()
    servers.end_by_exception()
    bench = Bench(options)
    for part in options.parts:
        print(f"\n{getattr(bench, part)()}\n", flush=True)


if __name__ == "__main__":
    main()
