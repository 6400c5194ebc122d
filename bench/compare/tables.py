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
        lines.append(row(
            case.name, case.clients, NAMES[contender],
            figures.spread(figures.values(rounds, "cpu_us")),
            multiple_of_limit(results, case, contender),
            figures.number(figures.median(rounds, "per_cpu_second")),
            *(figures.spread(figures.values(rounds, name)) for name in ("per_s", "p50", "p99")),
            *(cores(rounds, name) for name in ("server_cores", "client_cores", "other_cores"))))
    return lines


def multiple_of_limit(results, case, contender):
    limit = figures.median(results.get((case, "limit"), []), "cpu_us")
    own = figures.median(results[case, contender], "cpu_us")
    return f"{own / limit:.1f}" if limit and own and contender != "limit" else ""


def ratio_table(results, other):
    lines = head("workload", "clients", "requests per CPU-second", "requests/s", "p50", "p99")
    for case in cases_of(results):
        ours, theirs = results.get((case, "tidemark")), results.get((case, other))
        if ours and theirs:
            lines.append(row(case.name, case.clients, *(
                figures.spread(figures.ratios(ours, theirs, name))
                for name in ("per_cpu_second", "per_s", "p50", "p99"))))
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


def part_table(results):
    """Of mixed loads: what each part saw."""
    lines = head("workload", "part", "server", "per second", "p50, us", "p99, us", "p99.9, us")
    for (case, contender), rounds in results.items():
        if not rounds or len(rounds[0]["activities"]) < 2:
            continue
        for part in rounds[0]["activities"]:
            lines.append(row(
                case.name, part["name"], NAMES[contender], figures.number(part["per_s"]),
                *(figures.spread(figures.activity_values(rounds, part["name"], latency))
                  for latency in ("p50", "p99", "p99.9"))))
    return lines if len(lines) > 2 else []


def report(results, header):
    lines = [*header, "",
             "Median of the rounds, and in brackets the lowest and the highest round:", "",
             *figure_table(results)]
    for other in ("etcd", "etcd-debian"):
        table = ratio_table(results, other)
        if table:
            lines += ["", f"How many times better Tidemark is than {NAMES[other]}, round by round "
                      "(below 1: worse):", "", *table]
    lines += ["", "Tails, memory at the end, and writes as the kernel counts them:", "",
              *tail_table(results)]
    parts = part_table(results)
    if parts:
        lines += ["", "Mixed loads, part by part:", "", *parts]
    return "\n".join(lines) + "\n"
