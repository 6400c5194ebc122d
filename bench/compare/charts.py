"""Which charts are drawn of the results. Pure: results in, {file name: SVG} out."""

import figures
import svg
import tables

PERCENTILES = ["p50", "p90", "p99", "p99.9", "max"]


def slug(name):
    return "".join(character if character.isalnum() else "-" for character in name).strip("-").lower()


def by_contender(results, case, figure):
    found = {}
    for (other, contender), rounds in results.items():
        value = figures.median(rounds, figure)
        if other == case and value:
            found[tables.NAMES[contender]] = value
    return found


def bar_chart(results, title, y_label, figure, wanted):
    groups = {}
    for case in tables.cases_of(results):
        found = by_contender(results, case, figure) if wanted(case) else {}
        if found:
            groups[f"{case.name} {case.clients}"] = found
    return svg.bars(title, y_label, groups, is_log=True) if groups else None


def load_chart(results, workload):
    """Requests/s over requests outstanding."""
    series = {}
    for (case, contender), rounds in results.items():
        if case.workload == workload and case.group in ("points", "sweep"):
            series.setdefault(tables.NAMES[contender], []).append(
                (case.clients, figures.median(rounds, "per_s")))
    series = {name: sorted(line) for name, line in series.items() if len(line) > 2}
    if not series:
        return None
    return svg.lines(f"{workload}: throughput against load", "clients (outstanding requests)",
                     "requests/s", series, is_log_x=True)


def rate_chart(results):
    """p99 of puts over their rate."""
    series = {}
    for (case, contender), rounds in results.items():
        if case.group == "rates":
            series.setdefault(tables.NAMES[contender], []).append(
                (rounds[0]["configuration"]["rate"], figures.median(rounds, "p99")))
    if not series:
        return None
    return svg.lines("put at a fixed rate: 99th percentile from when it was due", "requests/s", "us",
                     series, is_log_x=True, is_log_y=True)


def percentile_chart(results, case):
    series = {}
    for (other, contender), rounds in results.items():
        if other == case:
            series[tables.NAMES[contender]] = [
                (place, figures.median(rounds, name)) for place, name in enumerate(PERCENTILES)]
    return svg.lines(f"{case.name}, {case.clients} clients: latency", "percentile", "us", series,
                     x_names=PERCENTILES, is_log_y=True)


def every(results):
    charts = {
        "cpu-per-request.svg": bar_chart(results, "Server CPU per request", "us", "cpu_us",
                                         lambda case: case.group not in ("memory", "sweep")),
        "throughput.svg": bar_chart(results, "Throughput", "requests/s", "per_s",
                                    lambda case: case.group == "points"),
        "memory-per-key.svg": bar_chart(results, "Resident memory for each key of 1 KiB", "bytes",
                                        "rss_per_key", lambda case: case.group == "memory"),
        "rates.svg": rate_chart(results),
    }
    for workload in dict.fromkeys(case.workload for case in tables.cases_of(results)):
        charts[f"load-{slug(workload)}.svg"] = load_chart(results, workload)
    for case in tables.cases_of(results):
        if case.clients > 1 and case.group != "sweep":
            charts[f"latency-{slug(case.name)}-{case.clients}.svg"] = percentile_chart(results, case)
    return {name: chart for name, chart in charts.items() if chart}
