#!/usr/bin/env python3
"""Measures servers of etcd's API beside each other and beside the bare limits, in turns.

For every round and case each contender is started anew, filled, loaded by tidebench, stopped and
removed, so nothing else of them runs meanwhile; who goes first changes from case to case.
scripts/bench calls this; the tables go to stdout and, with all raw results and charts, to --out.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import cases
import charts
import quiet_disk
import second_opinion
import servers
import tables


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/bench",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    binaries = parser.add_argument_group("binaries (scripts/bench sets these)")
    for name in ("tidebench", "tidemark", "etcd", "etcd-debian", "bare-server", "echo-server",
                 "etcd-benchmark"):
        binaries.add_argument(f"--{name}-binary", default="", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--header", default="", help=argparse.SUPPRESS)
    parser.add_argument("--directory", default=".", help="where data goes: puts wait for that disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="measured, for each case")
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--groups", default="", help="of cases, all unless given: " +
                        ",".join(dict.fromkeys(case.group for case in cases.every())))
    parser.add_argument("--workloads", default="", help="only these, of: " +
                        ",".join(dict.fromkeys(case.workload for case in cases.every())))
    parser.add_argument("--clients", default="", help="only cases with so many, e.g. 1,64")
    parser.add_argument("--contenders", default="limit,tidemark,etcd",
                        help="of limit, tidemark, etcd, etcd-debian")
    parser.add_argument("--second-opinion", action="store_true",
                        help="etcd's own load tool beside tidebench, instead of the cases")
    parser.add_argument("--list", action="store_true", help="shows the cases")
    return parser.parse_args()


def chosen_cases(arguments):
    def listed(text):
        return [part for part in text.split(",") if part]
    groups, workloads = listed(arguments.groups), listed(arguments.workloads)
    clients = [int(number) for number in listed(arguments.clients)]
    chosen = [case for case in cases.every()
              if (not groups or case.group in groups) and (not workloads or case.workload in workloads)
              and (not clients or case.clients in clients)]
    if not chosen:
        sys.exit("no such cases; --list shows them")
    return chosen


def make_server(arguments, contender, case, directory):
    if contender == "limit":
        return servers.bare(arguments.bare_server_binary, directory, case.limit == cases.DURABLE)
    if case.group == cases.TRANSPORT:
        return servers.bare(arguments.echo_server_binary, directory, is_durable=False)
    binary = {"tidemark": arguments.tidemark_binary, "etcd": arguments.etcd_binary,
              "etcd-debian": arguments.etcd_debian_binary}[contender]
    if not binary:
        sys.exit(f"no binary for {contender}")
    return servers.etcd_like(binary, directory, case.tls)


def run_tidebench(arguments, server, load):
    command = [arguments.tidebench_binary, *load, "--endpoint", server.endpoint,
               "--server-pid", server.pid, "--seconds", arguments.seconds,
               "--warm-up", arguments.warm_up, "--json", "-"]
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{done.stderr.strip()} (its data stays in {server.directory.name})")
    return json.loads(done.stdout)


def measure(arguments, contender, case):
    quiet_disk.wait(arguments.directory)
    directory = tempfile.mkdtemp(prefix=f"bench-{contender}-", dir=arguments.directory)
    with make_server(arguments, contender, case, directory) as server:
        return run_tidebench(arguments, server, case.arguments())


def ask_second_opinion(arguments):
    lines = second_opinion.head()
    for contender in ("tidemark", "etcd"):
        directory = tempfile.mkdtemp(prefix=f"bench-{contender}-", dir=arguments.directory)
        with make_server(arguments, contender, cases.Case("put", 64), directory) as server:
            lines += second_opinion.rows(
                arguments.etcd_benchmark_binary, server, contender,
                lambda workload: run_tidebench(
                    arguments, server, [workload, "--clients", second_opinion.CLIENTS]),
                arguments.seconds)
    print("\n".join([*arguments.header.splitlines(), "", *lines]))


def takes_part(contender, case):
    if contender == "limit":
        return case.limit != ""
    return case.group != cases.TRANSPORT or contender == "tidemark"


def show(round_number, case, contender, result):
    server = result["server"]
    print(f"round {round_number + 1}  {case.name:24} {case.clients:4}  {contender:11} "
          f"{server['cpu_us_per_request']:9.2f} us of CPU  {result['requests_per_s']:9.0f}/s  "
          f"cores: server {server['cores']:.2f}, client {result['client']['cores']:.2f}, "
          f"others {result['other_cores']:.2f}", file=sys.stderr)


def run(arguments):
    """({(case, contender): results}, failures); a failure ends its case, not the comparison."""
    contenders = [name for name in arguments.contenders.split(",") if name]
    chosen = chosen_cases(arguments)
    results = {(case, contender): [] for case in chosen for contender in contenders
               if takes_part(contender, case)}
    failures = []
    first = 0
    for round_number in range(arguments.rounds):
        for case in chosen:
            for i in range(len(contenders)):
                contender = contenders[(first + i) % len(contenders)]
                if (case, contender) not in results:
                    continue
                try:
                    result = measure(arguments, contender, case)
                except RuntimeError as error:
                    failures.append(f"{contender}, {case.name} with {case.clients}: {error}")
                    print(f"FAILED: {failures[-1]}", file=sys.stderr)
                    continue
                results[case, contender].append(result)
                show(round_number, case, contender, result)
            first += 1
    return {key: rounds for key, rounds in results.items() if rounds}, failures


def write(arguments, results, failures):
    arguments.out.mkdir(parents=True, exist_ok=True)
    header = arguments.header.splitlines()
    header.append(f"- Load average after: {' '.join(f'{load:.2f}' for load in os.getloadavg())}")
    header += [f"- **Failed**: {failure}" for failure in failures]
    report = tables.report(results, header)
    raw = [{"case": vars(case), "contender": contender, "rounds": rounds}
           for (case, contender), rounds in results.items()]
    (arguments.out / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    (arguments.out / "report.md").write_text(report)
    for name, chart in charts.every(results).items():
        (arguments.out / name).write_text(chart)
    print(report, end="")
    print(f"written to {arguments.out}", file=sys.stderr)


def main():
    arguments = parse_arguments()
    if arguments.list:
        for case in cases.every():
            print(f"{case.group:8} {case.name:24} {case.clients:4} clients")
        return
    if arguments.second_opinion:
        ask_second_opinion(arguments)
        return
    results, failures = run(arguments)
    write(arguments, results, failures)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
