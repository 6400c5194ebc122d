"""Waits until a disk has done what was asked of it before.

A file system that discards what is removed goes on for seconds after a server's files are gone, and the next server's
syncs wait for it.
"""

import os
import statistics
import tempfile
import time

SYNCS = 30
LIMIT_SECONDS = 20


def sync_seconds(directory):
    """How long each of a few small syncs takes."""
    seconds = []
    with tempfile.NamedTemporaryFile(prefix="quiet-disk-", dir=directory, buffering=0) as file:
        for _ in range(SYNCS):
            begin = time.monotonic()
            file.write(b"q" * 4096)
            os.fdatasync(file.fileno())
            seconds.append(time.monotonic() - begin)
            time.sleep(0.005)
    return seconds


def is_calm(seconds):
    """None takes much longer than usual here, whatever is usual."""
    return max(seconds) <= max(0.004, 5 * statistics.median(seconds))


def wait(directory):
    """Whether it became calm."""
    limit = time.monotonic() + LIMIT_SECONDS
    os.sync()
    while not is_calm(sync_seconds(directory)):
        if time.monotonic() >= limit:
            return False
    return True
