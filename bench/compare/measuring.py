"""One measurement: a fresh server, one load, and nothing left behind."""

import contextlib
import json
import subprocess
import tempfile

import contenders
import quiet_disk


@contextlib.contextmanager
def fresh_server(arguments, contender, case):
    directory = tempfile.mkdtemp(prefix=f"bench-{contender}-", dir=arguments.directory)
    with contenders.make_server(arguments, contender, case, directory) as server:
        yield server


def run_tidebench(arguments, server, load):
    load = [str(part) for part in load]
    command = [arguments.tidebench_binary, *load, "--endpoint", server.endpoint,
               "--server-pid", str(server.pid), "--json", "-"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{done.stderr.strip()} (its data stays in {server.directory.name})")
    return {**json.loads(done.stdout), "asked": " ".join(load)}


def measure(arguments, contender, case):
    is_calm = quiet_disk.wait(arguments.directory)
    with fresh_server(arguments, contender, case) as server:
        result = run_tidebench(arguments, server, case.arguments(arguments.seconds, arguments.warm_up))
    unseen = case.unseen(result)
    if unseen:
        raise RuntimeError(f"the span had {' and '.join(unseen)}")
    return {**result, "disk_was_calm": is_calm}
