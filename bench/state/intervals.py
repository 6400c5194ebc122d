"""What tidebench said of each interval of a run, in the file of its --intervals."""

import json


def read(file):
    """One without answers is a stall: whoever waited at its end had waited since the last interval with some."""
    found = []
    stalled_since = None
    with open(file) as lines:
        for line in lines:
            if not line.endswith("\n"):
                break  # is being written
            interval = json.loads(line)
            if interval["answers"] > 0:
                stalled_since = None
            else:
                stalled_since = stalled_since or interval["begin"]
                waited_us = (interval["end"] - stalled_since) * 1e6
                interval.update(p50_us=waited_us, p90_us=waited_us, p99_us=waited_us, max_us=waited_us)
            found.append(interval)
    return found


def stalls(found):
    return sum(interval["answers"] == 0 for interval in found)
