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


def parts(results, name):
    """One for each round: what one part of a mixed load saw."""
    return [activity for result in results for activity in result["activities"]
            if activity["name"] == name]


def part_latencies(results, name, latency):
    return [part["latency_us"][latency] for part in parts(results, name) if due(part)]


def due(activity):
    """Latencies of an open loop are of what was due inside the span, sent or not."""
    return activity["latency_us"]["count"]


def fell_short(activity):
    """Whether an open loop did less than was due; what is on its way at either end is no matter."""
    if not activity["open_loop"]:
        return False
    return activity["never_sent"] > 0 or due(activity) - activity["answers"] > max(1, due(activity) / 100)


def short_parts(results):
    return [activity["name"] for activity in results[0]["activities"]
            if any(fell_short(part) for part in parts(results, activity["name"]))]


def left_unsent(results):
    """Then latencies are lower bounds: nobody knows how long the rest would have waited."""
    return any(main_load(result)["never_sent"] > 0 for result in results)


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
    def by_round(results):
        return {result["round"]: FIGURES[figure](result) for result in results}
    ours, theirs = by_round(ours), by_round(theirs)
    pairs = [(ours[number], theirs[number]) for number in ours if number in theirs]
    if figure in SMALLER_IS_BETTER:
        pairs = [(b, a) for a, b in pairs]
    return [a / b for a, b in pairs if a is not None and b]
