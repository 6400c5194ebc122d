"""One server whose state is measured: started again in other ways, asked for its metrics and its log."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import ranges

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "compare"))
import servers  # noqa: E402

PATIENCE_S = 900


def directory_bytes(path, prefix=""):
    """What the files take on the disk whose names begin so."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in filter(lambda name: name.startswith(prefix), files):
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


class Node:
    def __init__(self, binary, directory, flags=()):
        self.directory = pathlib.Path(directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.server = servers.etcd_like(binary, self.directory)
        # Budgets and quotas are not what is measured here.
        self.server.arguments = [a for a in self.server.arguments if "quota" not in a]
        self.server.arguments += ["--quota-backend-bytes=-1", *flags]
        self.log_begin = 0  # of the newest start's lines

    def start(self, limit_s=PATIENCE_S):
        """Seconds until it serves."""
        log = self.directory / "log"
        self.log_begin = log.stat().st_size if log.exists() else 0
        begin = time.monotonic()
        servers.START_LIMIT_S = limit_s
        self.server.__enter__()
        return time.monotonic() - begin

    def kill(self):
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait()

    def remove(self):
        self.server.remove()

    def lose_memory(self):
        shutil.rmtree(self.server.memory_directory, ignore_errors=True)

    @property
    def memory_files_bytes(self):
        return directory_bytes(self.server.memory_directory)

    def disk_bytes(self, part=""):
        return directory_bytes(self.directory / "data" / part)

    def journal_bytes(self):
        """Of what a start reads: not the files of trimmed segments, which wait for their next use."""
        return directory_bytes(self.directory / "data" / "journal", "segment-")

    def metrics(self):
        with urllib.request.urlopen(self.server.endpoint + "/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")}

    def wait(self, is_there):
        self.wait_until(lambda: is_there(self.metrics()))

    def wait_for_log(self, is_it):
        self.wait_until(lambda: any(map(is_it, self.log_lines())))

    def wait_until(self, is_so):
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited too long; its log ends with {self.server.last_words()}")
            time.sleep(0.2)

    def status(self):
        """user and system seconds, resident bytes, and those of them that are files' (tmpfs)."""
        fields = open(f"/proc/{self.server.pid}/stat").read().rsplit(") ", 1)[1].split()
        pages = open(f"/proc/{self.server.pid}/statm").read().split()
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        return {"cpu_s": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
                "resident_bytes": int(pages[1]) * page_bytes,
                "shared_bytes": int(pages[2]) * page_bytes}

    def log_lines(self):
        """Since the newest start."""
        with open(self.directory / "log") as log:
            log.seek(self.log_begin)
            for line in log:
                try:
                    yield json.loads(line)
                except ValueError:
                    pass

    def ways(self):
        """{partition: how it started: warm, cold or empty}"""
        return {line["partition"]: line["way"] for line in self.log_lines() if line.get("msg") == "partition starts"}


class Client:
    """tidebench and etcdctl, at one node."""

    def __init__(self, tidebench, node):
        self.tidebench, self.node = tidebench, node

    def command(self, workload, *arguments):
        return [self.tidebench, workload, "--endpoint", self.node.server.endpoint, "--json", "-",
                *[str(argument) for argument in arguments]]

    def run(self, workload, *arguments):
        done = subprocess.run(self.command(workload, *arguments), check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    def begin(self, workload, *arguments):
        return subprocess.Popen(self.command(workload, *arguments), stdout=subprocess.PIPE)

    def store(self, keys):
        """Writes each key once, with 1 KiB of value."""
        self.run("get", "--keys", keys, "--warm-up", 0, "--seconds", 0.2, "--clients", 64)

    def ctl(self, *arguments):
        command = ["etcdctl", "--endpoints", self.node.server.endpoint, *arguments]
        return subprocess.run(command, check=True, env={**os.environ, "ETCDCTL_API": "3"}, stdout=subprocess.PIPE).stdout

    def count(self):
        """All keys, linearizably."""
        return ranges.count_everything(self.node.server.endpoint)

    def compact(self):
        """To the newest revision; returns when everything older is gone. Not physical: nobody waits for one of kube-apiserver's."""
        revision = json.loads(self.ctl("endpoint", "status", "-w", "json"))[0]["Status"]["header"]["revision"]
        self.ctl("compact", str(revision))
        self.node.wait_for_log(lambda line: line.get("msg") == "finished scheduled compaction"
                               and line["compact-revision"] >= revision)
