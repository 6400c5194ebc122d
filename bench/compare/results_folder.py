"""Where results go: a folder that no other run wrote to."""

import itertools
import pathlib


def make(wanted):
    """`wanted`, or with -2, -3... behind it."""
    wanted = pathlib.Path(wanted)
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            pass
