"""From tidebench's JSON to figures: medians over the rounds, spreads, ratios. Pure."""

import statistics

# name -> how to find it in one result
FIGURES = {
    "cpu_us": lambda r: r.get("server", {}).get("cpu_us_per_request"),
    "per_cpu_second": lambda r: r.get("server", {}).get("requests_per_cpu_second"),
    "per_s": lambda r: r["requests_per_s"],
    "p50": lambda r: main_load(r)["latency_us"]["p50"],
    "p90": lambda r: main_load(r)["latency_us"]["p90"],
    "p99": lambda r: main_load(r)["latency_us"]["p99"],
    "p99.9": lambda r: main_load(r)["latency_us"]["p99.9"],
    "max": lambda r: main_load(r)["latency_us"]["max"],
    "server_cores": lambda r: r.get("server", {}).get("cores"),
    "client_cores": lambda r: r["client"]["cores"],
    "other_cores": lambda r: r["other_cores"],
    "rss_bytes": lambda r: r.get("server", {}).get("rss_bytes"),
    "rss_per_key": lambda r: rss_per_key(r),
    "written_per_request": lambda r: written_per_request(r),
}
SMALLER_IS_BETTER = {"cpu_us", "p50", "p90", "p99", "p99.9", "max", "rss_bytes"}


def main_load(result):
    """Whose latency stands for the whole; server CPU is divided by the answers of all main ones."""
    return next(activity for activity in result["activities"] if activity["is_main"])


def written_per_request(result):
    server = result.get("server")
    answers = sum(activity["answers"] for activity in result["activities"] if activity["is_main"])
    return server["written_bytes"] / answers if server and answers else None


def rss_per_key(result):
    keys = result["configuration"]["keys"]
    return result["server"]["rss_bytes"] / keys if keys and "server" in result else None


def activity_values(results, name, latency):
    """One for each round: a percentile of one part of a mixed load."""
    return [activity["latency_us"][latency] for result in results
            for activity in result["activities"] if activity["name"] == name]


def values(results, figure):
    """One for each round, in their order; rounds without it are left out."""
    found = [FIGURES[figure](result) for result in results]
    return [value for value in found if value is not None]


def median(results, figure):
    found = values(results, figure)
    return statistics.median(found) if found else None


def number(value):
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(found):
    """median (lowest-highest)"""
    if not found:
        return ""
    middle = number(statistics.median(found))
    if len(found) == 1:
        return middle
    return f"{middle} ({number(min(found))}-{number(max(found))})"


def ratios(ours, theirs, figure):
    """How many times better ours is, round by round: both ran in the same round, one after another."""
    pairs = zip(values(ours, figure), values(theirs, figure))
    if figure in SMALLER_IS_BETTER:
        return [b / a for a, b in pairs if a]
    return [a / b for a, b in pairs if b]
