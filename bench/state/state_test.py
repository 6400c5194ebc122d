"""What measures the state, at made-up nodes and loads."""

import json
import pathlib
import subprocess
import tempfile
import unittest
from unittest import mock

import interference
import intervals
import node
import ranges
import restart


def line(begin, answers, p99_us=700.0):
    return json.dumps({"begin": begin, "end": begin + 1, "answers": answers, "p50_us": p99_us / 2, "p90_us": p99_us,
                       "p99_us": p99_us, "max_us": p99_us}) + "\n"


class WithFolder(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = pathlib.Path(place.name)
        self.file = self.folder / "intervals.jsonl"


class IntervalsTest(WithFolder):
    def test_an_interval_without_answers_counts_as_long_as_the_stall_so_far(self):
        self.file.write_text(line(10, 5) + line(11, 0, 0) + line(12, 0, 0) + line(13, 5) + line(14, 0, 0))
        found = intervals.read(self.file)
        self.assertEqual([interval["p99_us"] for interval in found], [700, 1e6, 2e6, 700, 1e6])
        self.assertEqual([interval["p50_us"] for interval in found], [350, 1e6, 2e6, 350, 1e6])
        self.assertEqual(intervals.stalls(found), 3)

    def test_a_line_that_is_being_written_is_not_read(self):
        self.file.write_text(line(10, 5) + line(11, 5)[:-9])
        self.assertEqual(len(intervals.read(self.file)), 1)


class PutsTest(WithFolder):
    def client(self, *command):
        made = mock.MagicMock()
        made.begin = lambda *_: subprocess.Popen(command)
        return made

    def writing(self, text, then):
        return self.client("sh", "-c", f"printf '%s' '{text}' >{self.file}; {then}")

    def test_lines_of_a_run_before_are_not_this_ones(self):
        self.file.write_text(line(1, 5) * 3)
        with self.assertRaisesRegex(RuntimeError, "ended by themselves, with status 3"):
            with interference.Puts(self.client("sh", "-c", "exit 3"), self.file):
                pass

    def test_puts_that_end_early_are_an_error(self):
        with self.assertRaisesRegex(RuntimeError, "ended by themselves, with status 0"):
            with interference.Puts(self.writing(line(1, 5) * 3, "sleep 0.5"), self.file) as puts:
                puts.process.wait()

    def test_what_they_saw(self):
        with interference.Puts(self.writing(line(10, 5) + line(11, 0, 0) + line(12, 5) + line(13, 5), "sleep 60"),
                               self.file) as puts:
            self.assertEqual(puts.seen(10.5, 12.5), (700, 1e6, 1))
        self.assertIsNotNone(puts.process.returncode)
        self.assertFalse(self.file.exists())


class RestartTest(unittest.TestCase):
    def start(self, counted, ways, way="warm"):
        made, client = mock.MagicMock(), mock.MagicMock()
        client.count.return_value = counted
        made.ways.return_value = ways
        return restart.timed_start(made, client, 100, way)

    def test_a_start_that_was_as_claimed(self):
        self.start(100, {"pods": "warm", "rest": "warm"})

    def test_keys_that_are_missing(self):
        with self.assertRaisesRegex(RuntimeError, "99 keys instead of 100"):
            self.start(99, {"pods": "warm"})

    def test_a_start_of_another_kind(self):
        with self.assertRaisesRegex(RuntimeError, "no warm start: {'pods': 'cold'}"):
            self.start(100, {"pods": "cold", "rest": "warm"})
        with self.assertRaisesRegex(RuntimeError, "no cold start"):
            self.start(100, {}, "cold")


class NodeTest(WithFolder):
    def node(self):
        made = node.Node("tidemark", self.folder / "node")
        self.addCleanup(made.remove)
        return made

    def log(self, made, *entries):
        with open(made.directory / "log", "a") as log:
            for entry in entries:
                log.write(json.dumps(entry) + "\n")

    def test_lines_of_the_start_before_do_not_say_how_this_one_was(self):
        made = self.node()
        self.log(made, {"msg": "partition starts", "partition": "pods", "way": "cold"})
        with mock.patch.object(made.server, "__enter__", create=True):
            made.start()
        self.assertEqual(made.ways(), {})
        self.log(made, {"msg": "partition starts", "partition": "pods", "way": "warm"})
        self.assertEqual(made.ways(), {"pods": "warm"})

    def test_a_journal_is_what_a_start_reads(self):
        made = self.node()
        journal = made.directory / "data" / "journal"
        journal.mkdir(parents=True)
        for name in ["segment-7.log", "kept-segment-1.tmp", "next-segment.tmp"]:
            (journal / name).write_bytes(b"x" * 4096)
        self.assertEqual(made.journal_bytes(), 4096)
        self.assertEqual(made.disk_bytes("journal"), 3 * 4096)

    def test_a_compaction_before_is_not_the_one_that_is_waited_for(self):
        made = self.node()
        client = node.Client("tidebench", made)
        self.log(made, {"msg": "finished scheduled compaction", "compact-revision": 6})
        answers = [b'[{"Status": {"header": {"revision": 7}}}]', b"compacted"]
        with mock.patch.object(client, "ctl", side_effect=answers), \
                mock.patch.object(node, "PATIENCE_S", 0), self.assertRaisesRegex(RuntimeError, "waited too long"):
            client.compact()
        self.log(made, {"msg": "finished scheduled compaction", "compact-revision": 7})
        with mock.patch.object(client, "ctl", side_effect=answers):
            client.compact()


class RangesTest(unittest.TestCase):
    def test_the_count_behind_a_header(self):
        frame = b"\x00\x00\x00\x00\x0a" + b"\x0a\x02\x18\x05" + b"\x20\xa0\x9c\x01"
        self.assertEqual(ranges.count_in(frame), 20_000)
        self.assertEqual(ranges.count_in(b"\x00\x00\x00\x00\x04\x0a\x02\x18\x05"), 0)

    def test_an_error_is_no_count(self):
        with self.assertRaises(RuntimeError):
            ranges.count_in(b"")


if __name__ == "__main__":
    unittest.main()
