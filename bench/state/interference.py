"""What puts at a steady rate feel of a list of everything, of a compaction, and of a checkpoint."""

import statistics
import time

import intervals
import ranges

RATE_PER_S = 2000
QUIET_S = 15


class Puts:
    """Puts at a fixed rate, and the latencies of each second; `with` ends them."""

    def __init__(self, client, file):
        self.file = file
        file.unlink(missing_ok=True)  # of another run
        self.process = client.begin("put", "--prefix", "/registry/pods/steady/pod-", "--keys", 10_000, "--rate", RATE_PER_S, "--clients", 256, "--warm-up", 1,
                                    "--seconds", 3600, "--intervals", file, "--interval-seconds", 1)

    def __enter__(self):
        try:
            self.wait_until_started()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                self.check()
        finally:
            self.end()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.file.unlink(missing_ok=True)

    def check(self):
        """They go on until they are ended here, unless an answer is wrong, fails, or does not come."""
        if self.process.poll() is not None:
            raise RuntimeError(f"the puts ended by themselves, with status {self.process.returncode}")

    def wait_until_started(self):
        deadline = time.monotonic() + 600
        while not self.file.exists() or len(intervals.read(self.file)) < 3:
            self.check()
            if time.monotonic() > deadline:
                raise RuntimeError("no puts")
            time.sleep(0.2)

    def seen(self, begin, end):
        """(median p99, worst p99, seconds without an answer) of those that have a part between two time.time()s."""
        self.check()
        seconds = [interval for interval in intervals.read(self.file)
                   if interval["end"] > begin and interval["begin"] < end]
        p99s = [interval["p99_us"] for interval in seconds]
        return statistics.median(p99s), max(p99s), intervals.stalls(seconds)


def measure(make_node, make_client, keys, file):
    """{event: (what puts saw, seconds it took)}; etcd makes no checkpoints."""
    node = make_node("interference", "--checkpoint-interval=2h", "--checkpoint-journal-bytes=1099511627776")
    try:
        node.start()
        client = make_client(node)
        client.store(keys)
        found = {}
        with Puts(client, file) as puts:
            def during(name, event):
                begin = time.time()
                event()
                end = time.time()
                time.sleep(2)
                found[name] = (puts.seen(begin, end), end - begin)

            during("nothing else", lambda: time.sleep(QUIET_S))
            during(f"a list of all {keys:,} keys, read five times",
                   lambda: [list_all(client) for _ in range(5)])
            during(f"writing each key again ({keys:,} puts in transactions)", lambda: client.store(keys))
            # What the disk still has to do for that is not the compaction's.
            during("nothing else, after that", lambda: time.sleep(QUIET_S))
            during(f"a compaction of {keys:,} versions", client.compact)
        return found
    finally:
        node.remove()


def list_all(client):
    received = ranges.list_everything(client.node.server.endpoint)
    if received < 10_000_000:
        raise RuntimeError(f"a list of everything had {received} bytes")


def measure_checkpoint(make_node, make_client, keys, file):
    """The same, with a checkpoint of everything in the middle."""
    # Due some seconds of puts after everything was written, and not late for a few minutes.
    node = make_node("interference", "--checkpoint-interval=2h", f"--checkpoint-journal-bytes={keys * 1300}")
    try:
        node.start()
        client = make_client(node)
        client.store(keys)
        with Puts(client, file) as puts:
            return watch_round(node, puts)
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
    return {"a checkpoint of everything": (puts.seen(begin, end), end - begin),
            "nothing else, after that checkpoint": (puts.seen(end + 2, time.time() - 1), QUIET_S),
            "bytes": metrics["tidemark_checkpoint_bytes_written_total"] - written}


def table(found):
    (base, _, _), _ = found["nothing else"]
    lines = ["| while there is | seconds | puts' p99, median of the seconds, us | of the worst second | seconds without an answer | x alone |",
             "|---|---|---|---|---|---|"]
    for name, ((median, worst, stalls), seconds) in found.items():
        lines.append(f"| {name} | {seconds:.1f} | {median:,.0f} | {worst:,.0f} | {stalls} | {median / base:.2f} |")
    return "\n".join(lines)
