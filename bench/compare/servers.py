"""Servers to compare: each started fresh, in a directory of its own, on loopback ports."""

import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

START_LIMIT_S = 60
STOP_LIMIT_S = 60
# Certificates that servers make for themselves are signed by nobody.
NO_VERIFICATION = ssl._create_unverified_context()
QUOTA_BYTES = 8 << 30  # both: some cases store more than the default of 2 GiB


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def end_by_exception():
    """From now on signals end the process by an exception, so that every `with` and `finally` cleans up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, lambda received, _: sys.exit(128 + received))


class Server:
    """One process; `with` stops it and removes what it wrote, also when it is interrupted."""

    def __init__(self, arguments, directory, port, environment=None, health=True, tls=False):
        self.arguments = [str(argument) for argument in arguments]
        self.directory = pathlib.Path(directory)
        self.port = port
        self.health = health
        self.scheme = "https" if tls else "http"
        self.environment = environment or {}
        self.memory_directory = self.environment.get("ETCD_MEMORY_DIR")
        self.process = None

    @property
    def endpoint(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        try:
            self.launch()
            self.wait_until_ready()
        except BaseException:
            self.remove()
            raise
        return self

    def launch(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(self.arguments, stdout=log, stderr=log,
                                            env={**os.environ, **self.environment})

    def wait_until_ready(self):
        deadline = time.monotonic() + START_LIMIT_S
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{pathlib.Path(self.arguments[0]).name} does not start: {self.last_words()}")
            time.sleep(0.02)

    def last_words(self):
        lines = (self.directory / "log").read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:])[-1000:]

    def is_ready(self):
        if not self.health:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                return False
        try:
            with urllib.request.urlopen(self.endpoint + "/health", timeout=1, context=NO_VERIFICATION) as answer:
                return b'"true"' in answer.read()
        except (urllib.error.URLError, OSError):
            return False

    def __exit__(self, kind, error, trace):
        is_failure = kind is not None and issubclass(kind, Exception)
        try:
            if kind is None or is_failure:
                self.stop()
        finally:
            self.remove(keeps_data=is_failure)  # data and log of a failure are to be looked at

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            pass  # remove() does not ask

    def remove(self, keeps_data=False):
        """The process, if there still is one, and what it left."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.memory_directory:
            shutil.rmtree(self.memory_directory, ignore_errors=True)
        if not keeps_data:
            shutil.rmtree(self.directory, ignore_errors=True)


def etcd_like(binary, directory, tls=False):
    """tidemark or etcd: the flags are the same."""
    port, peer_port = free_port(), free_port()
    client, peer = f"{'https' if tls else 'http'}://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    arguments = [
        binary, "--name=default", f"--data-dir={directory}/data",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}", f"--quota-backend-bytes={QUOTA_BYTES}",
        *(["--auto-tls"] if tls else [])]
    # etcd only wonders about the variable.
    memory = f"/dev/shm/tidemark-bench-{os.getpid()}-{port}"
    return Server(arguments, directory, port, {"ETCD_MEMORY_DIR": memory}, tls=tls)


def bare(binary, directory, is_durable):
    """The limit: reads from a map in memory; writes, when durable, behind one durable write a turn."""
    port = free_port()
    arguments = [binary, port] + ([f"{directory}/journal"] if is_durable else [])
    return Server(arguments, directory, port, health=False)
