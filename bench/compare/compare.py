#!/usr/bin/env python3
"""Measures servers of etcd's API beside each other and beside the bare limits, in turns.

For every round and case each contender is started anew, filled, loaded by tidebench, stopped and
removed, so nothing else of them runs meanwhile; who goes first changes from case to case and from
round to round. scripts/bench calls this; the tables go to stdout and, with all raw results and
charts, after each round to --out.
"""

import argparse
import json
import os
import sys

import cases
import charts
import contenders
import measuring
import quiet_disk
import results_folder
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
    parser.add_argument("--out", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--header", default="", help=argparse.SUPPRESS)
    parser.add_argument("--directory", default=".", help="where data goes: puts wait for that disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5,
                        help="measured, for each case; k8s-100k takes %d or more" % cases.ONE_LIST_OF_EACH_S)
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--groups", default="", help="of cases, all unless given: " +
                        ",".join(dict.fromkeys(case.group for case in cases.every())))
    parser.add_argument("--workloads", default="", help="only these, of: " +
                        ",".join(dict.fromkeys(case.workload for case in cases.every())))
    parser.add_argument("--clients", default="", help="only cases with so many, e.g. 1,64")
    parser.add_argument("--contenders", default="",
                        help="of limit, tidemark, etcd, etcd-debian; the first three unless given, and "
                             "Debian's etcd where the newest cannot be built")
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


def in_turn(names, turn):
    """Somebody else goes first each time."""
    first = turn % len(names)
    return names[first:] + names[:first]


def show(round_number, case, contender, result):
    server = result["server"]
    print(f"round {round_number + 1}  {case.name:24} {case.clients:4}  {contender:11} "
          f"{server['cpu_us_per_request']:9.2f} us of CPU  {result['requests_per_s']:9.0f}/s  "
          f"cores: server {server['cores']:.2f}, client {result['client']['cores']:.2f}, "
          f"others {result['other_cores']:.2f}", file=sys.stderr)


def run(arguments, chosen, names, results, failures, after_round):
    """Adds to {(case, contender): results}; a failure ends its case, not the comparison."""
    for round_number in range(arguments.rounds):
        for place, case in enumerate(chosen):
            taking_part = [name for name in names if contenders.takes_part(name, case)]
            for contender in in_turn(taking_part, round_number + place) if taking_part else ():
                try:
                    result = measuring.measure(arguments, contender, case)
                except RuntimeError as error:
                    failures.append(f"{contender}, {case.name} with {case.clients}: {error}")
                    print(f"FAILED: {failures[-1]}", file=sys.stderr)
                    continue
                results.setdefault((case, contender), []).append({**result, "round": round_number + 1})
                show(round_number, case, contender, result)
        after_round()


def in_order(results, names):
    """By case and contender, whoever went first."""
    cases_of = tables.cases_of(results)
    return {(case, name): results[case, name] for case in cases_of for name in names if (case, name) in results}


def restless_disk(results):
    """A line about measurements that began on a disk which did not become calm."""
    restless = [f"{case.name} {case.clients} {tables.NAMES[contender]} (round {result['round']})"
                for (case, contender), rounds in results.items() for result in rounds
                if not result["disk_was_calm"]]
    return [f"- **The disk was not calm** {quiet_disk.LIMIT_SECONDS} s after the server before, but measured on: "
            f"{', '.join(restless)}"] if restless else []


def header(arguments, left_out, results, failures):
    lines = [*arguments.header.splitlines(), *(f"- **Left out**: {text}" for text in left_out)]
    lines.append(f"- Load average after: {' '.join(f'{load:.2f}' for load in os.getloadavg())}")
    return [*lines, *restless_disk(results), *(f"- **Failed**: {failure}" for failure in failures)]


def save(folder, results, report):
    raw = [{"case": vars(case), "contender": contender, "rounds": rounds}
           for (case, contender), rounds in results.items()]
    (folder / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    (folder / "report.md").write_text(report)
    for name, chart in charts.every(results).items():
        (folder / name).write_text(chart)


def compare(arguments, chosen, names, left_out, folder):
    """Whether all went well; what was measured is saved however this ends."""
    results, failures = {}, []

    def save_all():
        ordered = in_order(results, names)
        report = tables.report(ordered, header(arguments, left_out, ordered, failures))
        save(folder, ordered, report)
        return report

    try:
        run(arguments, chosen, names, results, failures, save_all)
    except BaseException as error:
        failures.append(f"ended before its time, by {type(error).__name__} {error}")
        raise
    finally:
        print(save_all(), end="")
    return not failures


def main():
    arguments = parse_arguments()
    if arguments.list:
        for case in cases.every():
            print(f"{case.group:8} {case.name:24} {case.clients:4} clients")
        return
    servers.end_by_exception()
    chosen = chosen_cases(arguments)
    names, left_out = contenders.chosen(arguments)
    for text in left_out:
        print(f"LEFT OUT: {text}", file=sys.stderr)
    folder = results_folder.make(arguments.out)
    print(f"results go to {folder}", file=sys.stderr)
    if arguments.second_opinion:
        stores = [name for name in names if name != "limit"]
        second_opinion.run(arguments, stores, header(arguments, left_out, {}, []), folder)
    elif not compare(arguments, chosen, names, left_out, folder):
        sys.exit(1)


if __name__ == "__main__":
    main()
