"""Results as Markdown tables. Pure: results in, text out.

`results` maps (case, contender) to a list of tidebench results, one for each round.
"""

import figures

NAMES = {"tidemark": "Tidemark", "etcd": "etcd", "etcd-debian": "etcd (Debian)", "limit": "limit"}


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def head(*names):
    return [row(*names), "|" + "---|" * len(names)]


def cases_of(results):
    seen = {}
    for case, _ in results:
        seen.setdefault(case)
    return list(seen)


def cores(rounds, figure):
    value = figures.median(rounds, figure)
    return "" if value is None else f"{value:.2f}"


def figure_table(results):
    lines = head("workload", "clients", "server", "server CPU, us/request", "multiple of the limit",
                 "requests per CPU-second", "requests/s", "p50, us", "p99, us", "server, cores",
                 "client, cores", "others, cores")
    for (case, contender), rounds in results.items():
        at_least, at_most = (">= ", "<= ") if figures.short_parts(rounds) else ("", "")
        waited_at_least = ">= " if figures.left_unsent(rounds) else ""
        lines.append(row(
            case.name, case.clients, NAMES[contender],
            marked(at_least, figures.spread(figures.values(rounds, "cpu_us"))),
            marked(at_least, multiple_of_limit(results, case, contender)),
            marked(at_most, figures.number(figures.median(rounds, "per_cpu_second"))),
            figures.spread(figures.values(rounds, "per_s")),
            *(marked(waited_at_least, figures.spread(figures.values(rounds, name))) for name in ("p50", "p99")),
            *(cores(rounds, name) for name in ("server_cores", "client_cores", "other_cores"))))
    return lines


def marked(mark, cell):
    return mark + cell if cell else ""


def multiple_of_limit(results, case, contender):
    limit = figures.median(results.get((case, "limit"), []), "cpu_us")
    own = figures.median(results[case, contender], "cpu_us")
    return f"{own / limit:.1f}" if limit and own and contender != "limit" else ""


def bound(ours, theirs):
    """Of a ratio to a server that has more to do yet for what it was asked: how it can only change."""
    return {(True, True): "about ", (True, False): "<= ", (False, True): ">= ", (False, False): ""}[
        bool(ours), bool(theirs)]


def ratio_table(results, other):
    lines = head("workload", "clients", "requests per CPU-second", "requests/s", "p50", "p99")
    for case in cases_of(results):
        ours, theirs = results.get((case, "tidemark")), results.get((case, other))
        if ours and theirs:
            cpu_bound = bound(figures.short_parts(ours), figures.short_parts(theirs))
            latency_bound = bound(figures.left_unsent(ours), figures.left_unsent(theirs))
            lines.append(row(case.name, case.clients, *(
                marked(mark, figures.spread(figures.ratios(ours, theirs, name)))
                for name, mark in (("per_cpu_second", cpu_bound), ("per_s", ""), ("p50", latency_bound),
                                   ("p99", latency_bound)))))
    return lines if len(lines) > 2 else []


def tail_table(results):
    lines = head("workload", "clients", "server", "p90, us", "p99.9, us", "max, us",
                 "resident, MB", "written to disk, bytes/request")
    for (case, contender), rounds in results.items():
        rss = figures.median(rounds, "rss_bytes")
        lines.append(row(
            case.name, case.clients, NAMES[contender],
            *(figures.spread(figures.values(rounds, name)) for name in ("p90", "p99.9", "max")),
            "" if rss is None else f"{rss / 1e6:.0f}",
            figures.number(figures.median(rounds, "written_per_request"))))
    return lines


def is_mixed(rounds):
    return len(rounds[0]["activities"]) > 1


def part_table(results):
    """Of mixed loads: what each part saw."""
    lines = head("workload", "part", "server", "answers", "per second", "p50, us", "p99, us", "p99.9, us")
    for (case, contender), rounds in results.items():
        if not is_mixed(rounds):
            continue
        for name in [part["name"] for part in rounds[0]["activities"]]:
            parts = figures.parts(rounds, name)
            lines.append(row(
                case.name, name, NAMES[contender], each_round(part["answers"] for part in parts),
                figures.spread([part["per_s"] for part in parts]),
                *(figures.spread(figures.part_latencies(rounds, name, latency))
                  for latency in ("p50", "p99", "p99.9"))))
    return lines if len(lines) > 2 else []


def each_round(counts):
    return ", ".join(str(count) for count in counts)


def mixed_loads(results):
    """What was asked, since a short span sees less or more of what is seldom than a cluster does."""
    asked = {case: rounds[0]["asked"] for (case, _), rounds in results.items() if is_mixed(rounds)}
    return [f"- {case.name}: `tidebench {load}`" for case, load in asked.items()]


def shortfall_table(results):
    """Where an open loop did less than was due."""
    lines = head("workload", "clients", "part", "server", "due", "done", "never sent")
    for (case, contender), rounds in results.items():
        for name in figures.short_parts(rounds):
            parts = figures.parts(rounds, name)
            lines.append(row(case.name, case.clients, name, NAMES[contender],
                             each_round(map(figures.due, parts)),
                             each_round(part["answers"] for part in parts),
                             each_round(part["never_sent"] for part in parts)))
    return lines if len(lines) > 2 else []


def report(results, header):
    lines = [*header, "",
             "Median of the rounds, and in brackets the lowest and the highest round:", "",
             *figure_table(results)]
    shortfall = shortfall_table(results)
    if shortfall:
        lines += ["", "Less was done than was due (in each round), so what all of it costs is not known: CPU "
                  "marked `>=` is that of what was done, and the rest waited longer than the latencies say:",
                  "", *shortfall]
    for other in ("etcd", "etcd-debian"):
        table = ratio_table(results, other)
        if table:
            lines += ["", f"How many times better Tidemark is than {NAMES[other]}, round by round "
                      "(below 1: worse):", "", *table]
    lines += ["", "Tails, memory at the end, and writes as the kernel counts them:", "",
              *tail_table(results)]
    parts = part_table(results)
    if parts:
        lines += ["", "Mixed loads, part by part, with the answers of each round. Asked for was this, while "
                  "kube-apiserver lists what it caches and compacts every 300 s:", "",
                  *mixed_loads(results), "", *parts]
    return "\n".join(lines) + "\n"
