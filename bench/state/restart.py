"""How long a killed server takes until it serves again: from its memory, and from disk alone."""

import subprocess
import time


def drop_page_cache():
    subprocess.run(["sync"], check=True)
    try:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("1")
        return True
    except OSError:
        return False


def timed_start(node, client, keys, way):
    """(seconds from exec until every key is there, CPU seconds); fails unless each partition started that way."""
    begin = time.monotonic()
    node.start()
    counted = client.count()
    seconds = time.monotonic() - begin
    if counted != keys:
        raise RuntimeError(f"after a {way} start there are {counted} keys instead of {keys}")
    others = {partition: seen for partition, seen in node.ways().items() if seen != way}
    if others or not node.ways():
        raise RuntimeError(f"this was no {way} start: {others or 'its log tells of no partition'}")
    return seconds, node.status()["cpu_s"]


def measure(make_node, make_client, keys):
    node = make_node("restart")
    try:
        node.start()
        client = make_client(node)
        client.store(keys)
        wait_for_checkpoints(node)
        result = {"keys": keys, "checkpoint_bytes": node.disk_bytes("checkpoints"),
                  "journal_bytes": node.journal_bytes()}
        stored = client.count()
        if stored != keys:
            raise RuntimeError(f"{stored} keys were stored instead of {keys}")
        node.kill()
        result["warm_s"], result["warm_cpu_s"] = timed_start(node, client, keys, "warm")
        node.kill()
        node.lose_memory()
        result["cold_is_uncached"] = drop_page_cache()
        result["cold_s"], result["cold_cpu_s"] = timed_start(node, client, keys, "cold")
        return result
    finally:
        node.remove()


# A round begins at one GiB of journal; a segment in use and a spare one remain.
TRIMMED_BYTES = 1_400_000_000


def wait_for_checkpoints(node):
    """Until there is one of every partition and the journal behind them is gone, as it is most of the time."""
    deadline = time.monotonic() + 600
    while node.metrics()["tidemark_checkpoint_position"] == 0 or node.journal_bytes() > TRIMMED_BYTES:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no checkpoints; its log ends with {node.server.last_words()}")
        time.sleep(1)
    time.sleep(3)


def table(row):
    return "\n".join([
        "| start of a killed server | seconds until it counts every key | CPU seconds | |",
        "|---|---|---|---|",
        f"| warm, {row['keys']:,} keys of 1 KiB on tmpfs | {row['warm_s']:.2f} | {row['warm_cpu_s']:.1f} | "
        f"{row['warm_cpu_s'] / row['keys'] * 1e6:.2f} us of CPU a key |",
        f"| cold, checkpoint {row['checkpoint_bytes'] / 1e6:,.0f} MB, journal {row['journal_bytes'] / 1e6:,.0f} MB"
        f"{', page cache dropped' if row['cold_is_uncached'] else ''} | {row['cold_s']:.2f} | {row['cold_cpu_s']:.1f} | "
        f"{row['checkpoint_bytes'] / 1e6 / row['cold_s']:.0f} MB of checkpoint a second |"])
