"""What puts at a steady rate feel of a list of everything, of a compaction, and of a checkpoint."""

import json
import statistics
import subprocess
import time

RATE_PER_S = 2000
QUIET_S = 15


class Puts:
    """Puts at a fixed rate, and the latencies of each second."""

    def __init__(self, client, file):
        self.file = file
        self.process = client.begin("put", "--prefix", "/registry/pods/steady/pod-", "--keys", 10_000, "--rate", RATE_PER_S, "--clients", 256, "--warm-up", 1,
                                    "--seconds", 3600, "--intervals", file, "--interval-seconds", 1)

    def seconds(self, begin, end):
        """p99s of the seconds that have a part between two times.time()s."""
        with open(self.file) as lines:
            intervals = [json.loads(line) for line in lines]
        return [interval["p99_us"] for interval in intervals
                if interval["end"] > begin and interval["begin"] < end]

    def stop(self):
        self.process.kill()
        self.process.wait()


def wait_until_started(file):
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        try:
            if len(open(file).readlines()) >= 3:
                return
        except FileNotFoundError:
            pass
        time.sleep(0.2)
    raise RuntimeError("no puts")


def measure(make_node, make_client, keys, file):
    """{event: (p99 in us, seconds it took)}; etcd makes no checkpoints."""
    node = make_node("interference", "--checkpoint-interval=2h", "--checkpoint-journal-bytes=1099511627776")
    try:
        node.start()
        client = make_client(node)
        client.store(keys)
        puts = Puts(client, file)
        wait_until_started(file)
        found = {}

        def during(name, event):
            begin = time.time()
            event()
            end = time.time()
            time.sleep(2)
            p99s = puts.seconds(begin, end)
            found[name] = (statistics.median(p99s), max(p99s), end - begin)

        try:
            during("nothing else", lambda: time.sleep(QUIET_S))
            during(f"a list of all {keys:,} keys, read five times",
                   lambda: [list_all(client) for _ in range(5)])
            during(f"writing each key again ({keys:,} puts in transactions)", lambda: client.store(keys))
            # What the disk still has to do for that is not the compaction's.
            during("nothing else, after that", lambda: time.sleep(QUIET_S))
            during(f"a compaction of {keys:,} versions", client.compact)
        finally:
            puts.stop()
        return found
    finally:
        node.remove()


# A gRPC frame: not compressed, six bytes, RangeRequest{key: "\0", range_end: "\0"}.
LIST_EVERYTHING = b"\x00\x00\x00\x00\x06\x0a\x01\x00\x12\x01\x00"


def list_all(client):
    """With a client that only reads: on two cores one that decodes would be what disturbs."""
    done = subprocess.run(["curl", "--silent", "--show-error", "--fail", "--http2-prior-knowledge", "--header", "content-type: application/grpc",
                           "--header", "te: trailers", "--data-binary", "@-", "--output", "/dev/null", "--write-out", "%{size_download}",
                           client.node.server.endpoint + "/etcdserverpb.KV/Range"],
                          input=LIST_EVERYTHING, check=True, stdout=subprocess.PIPE)
    if int(done.stdout) < 10_000_000:
        raise RuntimeError(f"a list of everything had {int(done.stdout)} bytes")


def measure_checkpoint(make_node, make_client, keys, file):
    """The same, with a checkpoint of everything in the middle."""
    # Due some seconds of puts after everything was written, and not late for a few minutes.
    node = make_node("interference", "--checkpoint-interval=2h", f"--checkpoint-journal-bytes={keys * 1300}")
    try:
        node.start()
        client = make_client(node)
        client.store(keys)
        puts = Puts(client, file)
        try:
            wait_until_started(file)
            return watch_round(node, puts)
        finally:
            puts.stop()
    finally:
        node.remove()


def made(metrics):
    return sum(value for name, value in metrics.items() if name.startswith("tidemark_checkpoints_total"))


def watch_round(node, puts):
    """A round's end and duration are in the metrics; the seconds behind it are the quiet ones."""
    before = node.metrics()
    written = before["tidemark_checkpoint_bytes_written_total"]
    duration = "tidemark_checkpoint_last_duration_seconds"
    node.wait(lambda metrics: metrics[duration] != before[duration] and made(metrics) > made(before))
    metrics = node.metrics()
    end = time.time()
    begin = end - metrics[duration]
    time.sleep(QUIET_S + 3)
    busy = puts.seconds(begin, end)
    quiet = puts.seconds(end + 2, time.time() - 1)
    return {"a checkpoint of everything": (statistics.median(busy), max(busy), end - begin),
            "nothing else, after that checkpoint": (statistics.median(quiet), max(quiet), QUIET_S),
            "bytes": metrics["tidemark_checkpoint_bytes_written_total"] - written}


def table(found):
    base = found["nothing else"][0]
    lines = ["| while there is | seconds | puts' p99, median of the seconds, us | of the worst second | x alone |",
             "|---|---|---|---|---|"]
    for name, (median, worst, seconds) in found.items():
        lines.append(f"| {name} | {seconds:.1f} | {median:,.0f} | {worst:,.0f} | {median / base:.2f} |")
    return "\n".join(lines)
