"""Months in minutes: a cluster's churn over a million keys, and whether memory, disk and p99 stay flat."""

import pathlib
import sys
import time

import intervals as interval_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "compare"))
import svg  # noqa: E402

SAMPLE_S = 10


def run(make_node, make_client, keys, minutes, scale, event_ttl_s, directory):
    """Samples, one each SAMPLE_S: what the server holds, and the puts' latencies in between."""
    node = make_node("soak", "--checkpoint-journal-bytes=268435456")
    samples = []
    file = directory / "intervals.jsonl"
    file.unlink(missing_ok=True)
    load = None
    try:
        node.start()
        client = make_client(node)
        client.store(keys)
        load = client.begin("k8s-100k", "--scale", scale, "--event-ttl", event_ttl_s, "--warm-up", 5,
                            "--seconds", minutes * 60, "--intervals", file,
                            "--interval-seconds", SAMPLE_S)
        begin = time.time()
        while load.poll() is None:
            time.sleep(SAMPLE_S)
            if load.poll() is None:
                samples.append({"t_s": time.time() - begin, **sample(node)})
        if load.returncode != 0:
            raise RuntimeError("the load found a wrong or failed answer")
        intervals = interval_file.read(file)
        for interval in intervals:
            interval["t_s"] = interval["end"] - begin
        return samples, intervals
    finally:
        if load and load.poll() is None:
            load.kill()
            load.wait()
        file.unlink(missing_ok=True)
        node.remove()


def sample(node):
    status, metrics = node.status(), node.metrics()
    return {"heap_bytes": status["resident_bytes"] - status["shared_bytes"],
            "files_bytes": node.memory_files_bytes, "disk_bytes": node.disk_bytes(),
            "versions": metrics["tidemark_versions"], "cpu_s": status["cpu_s"],
            "checkpoints": sum(value for name, value in metrics.items()
                               if name.startswith("tidemark_checkpoints_total"))}


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0


def halves(samples, value):
    """Of the second and the last quarter: both after the start's growth, both whole cycles or more."""
    end = samples[-1]["t_s"]
    early = mean(value(s) for s in samples if end / 4 < s["t_s"] <= end / 2)
    late = mean(value(s) for s in samples if s["t_s"] > end * 3 / 4)
    return early, late


def table(samples, intervals):
    rows = [("versions stored", samples, lambda s: s["versions"]),
            ("memory on tmpfs, MB", samples, lambda s: s["files_bytes"] / 1e6),
            ("memory on the heap, MB", samples, lambda s: s["heap_bytes"] / 1e6),
            ("disk, MB", samples, lambda s: s["disk_bytes"] / 1e6),
            ("p50 of 10 s, us", intervals, lambda i: i["p50_us"]),
            ("p99 of 10 s, us", intervals, lambda i: i["p99_us"])]
    lines = ["| | second quarter | last quarter | last / second |", "|---|---|---|---|"]
    for name, points, value in rows:
        early, late = halves(points, value)
        lines.append(f"| {name} | {early:,.0f} | {late:,.0f} | {late / early if early else 0:.2f} |")
    answers = sum(i["answers"] for i in intervals)
    lines.append(f"\n{answers:,} requests in {samples[-1]['t_s'] / 60:.0f} minutes, "
                 f"{samples[-1]['checkpoints']:.0f} checkpoints of partitions; "
                 f"{interval_file.stalls(intervals)} of {len(intervals)} intervals of {SAMPLE_S} s without an answer.")
    return "\n".join(lines)


def chart(samples, intervals):
    minutes = [s["t_s"] / 60 for s in samples]
    gigabytes = {
        "tmpfs": [s["files_bytes"] / 1e9 for s in samples],
        "heap": [s["heap_bytes"] / 1e9 for s in samples],
        "disk": [s["disk_bytes"] / 1e9 for s in samples],
    }
    memory = svg.lines("Memory and disk during the soak", "minutes", "GB",
                       {name: list(zip(minutes, values)) for name, values in gigabytes.items()})
    latency = svg.lines("Latency during the soak, each 10 s", "minutes", "us", {
        name: [(i["t_s"] / 60, i[name + "_us"]) for i in intervals if i["t_s"] > 0] for name in ("p50", "p99")},
        is_log_y=True)
    return memory, latency
