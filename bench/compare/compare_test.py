"""Figures, tables and charts of made-up results."""

import argparse
import copy
import json
import pathlib
import subprocess
import tempfile
import unittest
from unittest import mock
import xml.etree.ElementTree as tree

import cases
import charts
import compare
import contenders
import figures
import measuring
import quiet_disk
import results_folder
import second_opinion
import servers
import svg
import tables

PUT = cases.Case("put", 64, limit=cases.DURABLE)
MIX = cases.Case("k8s-100k", 1, limit="", group="mixes", label="mix & more")


def result(cpu_us, per_s, p50, parts=("requests",), round_number=1):
    latency = {"count": 100, "p50": p50, "p90": 2 * p50, "p99": 3 * p50, "p99.9": 4 * p50, "max": 5 * p50}
    return {
        "round": round_number, "asked": "k8s-100k --scale 0.1", "disk_was_calm": True,
        "configuration": {"keys": 1000, "rate": 0}, "requests_per_s": per_s,
        "activities": [{"name": name, "is_main": name == parts[-1], "open_loop": False, "answers": 100,
                        "never_sent": 0, "per_s": per_s, "latency_us": latency} for name in parts],
        "client": {"cores": 0.25}, "other_cores": 0.5,
        "server": {"cpu_us_per_request": cpu_us, "requests_per_cpu_second": 1e6 / cpu_us,
                   "cores": 1.0, "rss_bytes": 2_000_000, "written_bytes": 150_000}}


def open_result(due, done, never_sent, **more):
    """Of an open loop, and beside it a part that did all."""
    made = result(10, 100, 7, parts=("lists", "requests"), **more)
    made["activities"][1].update(open_loop=True, answers=done, never_sent=never_sent,
                                 latency_us={**made["activities"][1]["latency_us"], "count": due})
    return made


RESULTS = {
    (PUT, "limit"): [result(5, 50_000, 100), result(5, 50_000, 100, round_number=2)],
    (PUT, "tidemark"): [result(10, 40_000, 200), result(12, 20_000, 300, round_number=2)],
    (PUT, "etcd"): [result(80, 10_000, 800), result(60, 5_000, 900, round_number=2)],
    (MIX, "tidemark"): [result(10, 100, 7, parts=("watch", "writes"))],
}


class FiguresTest(unittest.TestCase):
    def test_ratios_pair_the_rounds_and_turn_where_less_is_better(self):
        ours, theirs = RESULTS[PUT, "tidemark"], RESULTS[PUT, "etcd"]
        self.assertEqual(figures.ratios(ours, theirs, "per_s"), [4, 4])
        self.assertEqual(figures.ratios(ours, theirs, "p50"), [4, 3])
        self.assertEqual(figures.ratios(ours, theirs, "cpu_us"), [8, 5])

    def test_a_round_that_one_of_them_failed_has_no_ratio(self):
        ours = [result(10, 40, 2), result(10, 60, 2, round_number=2), result(10, 80, 2, round_number=3)]
        theirs = [result(10, 30, 2, round_number=2), result(10, 20, 2, round_number=3)]
        self.assertEqual(figures.ratios(ours, theirs, "per_s"), [2, 4])

    def test_an_open_loop_fell_short_when_requests_stayed_behind(self):
        for due, done, never_sent, is_short in ((1000, 1000, 0, False), (1000, 995, 0, False), (1000, 900, 0, True),
                                                (1000, 1000, 1, True), (4, 3, 0, False), (4, 2, 0, True)):
            self.assertEqual(figures.short_parts([open_result(due, done, never_sent)]) == ["requests"], is_short,
                             (due, done, never_sent))
        closed = open_result(1000, 900, 0)
        closed["activities"][1]["open_loop"] = False
        self.assertEqual(figures.short_parts([closed]), [])

    def test_a_part_without_answers_has_no_latency(self):
        seldom = open_result(0, 0, 0)
        self.assertEqual(figures.part_latencies([seldom, open_result(5, 5, 0)], "requests", "p50"), [7])

    def test_spread(self):
        self.assertEqual(figures.spread([]), "")
        self.assertEqual(figures.spread([3.456]), "3.46")
        self.assertEqual(figures.spread([300, 1, 20]), "20.0 (1.00-300)")

    def test_what_is_divided(self):
        self.assertEqual(figures.median(RESULTS[PUT, "etcd"], "written_per_request"), 1500)
        self.assertEqual(figures.median(RESULTS[PUT, "etcd"], "rss_per_key"), 2000)

    def test_the_main_part_stands_for_the_whole(self):
        self.assertEqual(figures.main_load(RESULTS[MIX, "tidemark"][0])["name"], "writes")


class TablesTest(unittest.TestCase):
    def test_every_row_has_the_columns_of_its_head(self):
        report = tables.report(RESULTS, ["- header"])
        columns = None
        for line in report.splitlines():
            if not line.startswith("|"):
                columns = None
                continue
            columns = columns or line.count("|")
            self.assertEqual(line.count("|"), columns, line)

    def test_rows(self):
        report = tables.report(RESULTS, [])
        self.assertIn("| put | 64 | Tidemark | 11.0 (10.0-12.0) | 2.2 |", report)
        self.assertIn("| put | 64 | limit | 5.00 (5.00-5.00) |  |", report)
        self.assertIn("| put | 64 | 6.50 (5.00-8.00) | 4.00 (4.00-4.00) |", report)
        self.assertIn("| mix & more | watch | Tidemark |", report)


    def test_what_was_left_undone_is_told_and_makes_cpu_a_bound(self):
        report = tables.report({(MIX, "tidemark"): [open_result(100, 100, 0)],
                                (MIX, "etcd"): [open_result(100, 60, 30), open_result(100, 99, 0, round_number=2)]}, [])
        self.assertIn("| mix & more | 1 | requests | etcd | 100, 100 | 60, 99 | 30, 0 |", report)
        self.assertIn("| mix & more | 1 | etcd | >= 10.0 (10.0-10.0) |  | <= 100000 |", report)
        self.assertIn(">= 7.00 (7.00-7.00) | >= 21.0", report)
        self.assertIn("| mix & more | 1 | Tidemark | 10.0 |", report)
        self.assertIn("| mix & more | 1 | >= 1.00 | 1.00 | >= 1.00 | >= 1.00 |", report)
        self.assertNotIn("Less was done", tables.report(RESULTS, []))

    def test_a_mix_says_what_was_asked_and_counts_what_came(self):
        report = tables.report({(MIX, "tidemark"): [open_result(5, 5, 0), open_result(6, 6, 0, round_number=2)]}, [])
        self.assertIn("- mix & more: `tidebench k8s-100k --scale 0.1`", report)
        self.assertIn("| mix & more | requests | Tidemark | 5, 6 |", report)


class ChartsTest(unittest.TestCase):
    def test_charts_are_well_formed_and_named_after_cases(self):
        drawn = charts.every(RESULTS)
        self.assertIn("cpu-per-request.svg", drawn)
        self.assertIn("latency-put-64.svg", drawn)
        for chart in drawn.values():
            tree.fromstring(chart)

    def test_a_bar_is_as_high_as_its_value(self):
        chart = tree.fromstring(svg.bars("title", "us", {"a": {"x": 10, "y": 5}}))
        heights = [float(rect.get("height")) for rect in chart.iter("{http://www.w3.org/2000/svg}rect")
                   if rect.get("x") and float(rect.get("y")) > svg.TOP - 1]
        self.assertEqual(len(heights), 2)
        self.assertAlmostEqual(heights[0] / heights[1], 2, places=1)

    def test_logarithmic_axes_cover_their_values(self):
        axis = svg.Axis([3, 4000], 100, 0, is_log=True)
        self.assertEqual([axis.low, axis.high], [1, 10_000])
        self.assertAlmostEqual(axis.place(100), 50)
        self.assertEqual(len(axis.ticks()), 5)


class QuietDiskTest(unittest.TestCase):
    def test_one_slow_sync_is_not_calm_but_a_slow_disk_is(self):
        self.assertTrue(quiet_disk.is_calm([0.0001] * 29 + [0.003]))
        self.assertFalse(quiet_disk.is_calm([0.0001] * 29 + [0.005]))
        self.assertTrue(quiet_disk.is_calm([0.010] * 29 + [0.040]))

    def test_a_disk_that_does_not_calm_down_is_waited_for_no_longer_than_said(self):
        with mock.patch.object(quiet_disk, "sync_seconds", return_value=[0.0001] * 29 + [1]), \
                mock.patch.object(quiet_disk.time, "monotonic", side_effect=[0, 1, 19, 21]):
            self.assertFalse(quiet_disk.wait("."))

    def test_a_disk_that_calms_down(self):
        with mock.patch.object(quiet_disk, "sync_seconds", side_effect=[[0.0001] * 29 + [1], [0.0001] * 30]):
            self.assertTrue(quiet_disk.wait("."))

    def test_the_report_names_what_began_on_a_restless_disk(self):
        restless = {**result(10, 100, 7, round_number=2), "disk_was_calm": False}
        lines = compare.restless_disk({(PUT, "etcd"): [result(10, 100, 7), restless]})
        self.assertEqual(len(lines), 1)
        self.assertIn("put 64 etcd (round 2)", lines[0])
        self.assertEqual(compare.restless_disk(RESULTS), [])


def arguments_of(**more):
    given = dict(contenders="", groups="", workloads="", clients="", rounds=2, header="- header",
                 tidemark_binary="t", etcd_binary="e", etcd_debian_binary="", bare_server_binary="b")
    return argparse.Namespace(**{**given, **more})


class RunTest(unittest.TestCase):
    """The loop over rounds, cases and contenders, with made-up measurements."""

    def run_with(self, measure, groups, rounds=2, after_round=lambda: None):
        arguments = arguments_of(groups=groups, rounds=rounds)
        results, failures = {}, []
        with mock.patch.object(measuring, "measure", measure), \
                mock.patch.object(compare, "show"), mock.patch("sys.stderr"):
            compare.run(arguments, compare.chosen_cases(arguments), ["limit", "tidemark", "etcd"], results, failures,
                        after_round)
        return results, failures

    def test_everyone_runs_in_each_round_and_another_one_goes_first(self):
        order = []

        def measure(_, contender, case):
            order.append(contender)
            return result(10, 100, 7)

        results, failures = self.run_with(measure, "lists")
        self.assertEqual(failures, [])
        self.assertEqual({len(rounds) for rounds in results.values()}, {2})
        self.assertEqual(order[:6], ["limit", "tidemark", "etcd", "tidemark", "etcd", "limit"])
        self.assertEqual(order[9:12], ["tidemark", "etcd", "limit"])  # three cases: the next round of the first

    def test_results_know_their_round(self):
        def measure(_, contender, case):
            if contender == "etcd" and not failed:
                failed.append(True)
                raise RuntimeError("planted")
            return result(10, 100, 7)

        failed = []
        results, _ = self.run_with(measure, "memory")
        self.assertEqual({contender: [one["round"] for one in rounds] for (_, contender), rounds in results.items()},
                         {"limit": [1, 2], "tidemark": [1, 2], "etcd": [2]})

    def test_of_two_each_goes_first_as_often(self):
        self.assertEqual([compare.in_turn(["tidemark", "etcd"], turn)[0] for turn in range(4)],
                         ["tidemark", "etcd", "tidemark", "etcd"])

    def test_who_cannot_take_part_does_not(self):
        results, _ = self.run_with(lambda *_: result(10, 100, 7), "mixes,transport")
        self.assertEqual({(case.workload, contender) for case, contender in results},
                         {("compaction", "tidemark"), ("compaction", "etcd"),
                          ("k8s-100k", "tidemark"), ("k8s-100k", "etcd"),
                          ("echo", "limit"), ("echo", "tidemark")})

    def test_a_failure_is_told_and_the_others_go_on(self):
        def measure(_, contender, case):
            if contender == "etcd":
                raise RuntimeError("planted")
            return result(10, 100, 7)

        results, failures = self.run_with(measure, "lists", rounds=1)
        self.assertEqual(len(failures), 3)
        self.assertIn("planted", failures[0])
        self.assertEqual({contender for _, contender in results}, {"limit", "tidemark"})
        self.assertNotIn("etcd", tables.report(results, []))

    def test_what_was_measured_is_there_after_each_round_and_an_interruption(self):
        saved = []
        measured = []

        def measure(_, contender, case):
            measured.append(contender)
            if len(measured) == 5:
                raise SystemExit(143)
            return result(10, 100, 7)

        arguments = arguments_of(groups="memory")
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(measuring, "measure", measure), \
                mock.patch.object(compare, "save", lambda _, results, report: saved.append((copy.deepcopy(results), report))), \
                mock.patch.object(compare, "show"), mock.patch("builtins.print"):
            with self.assertRaises(SystemExit):
                compare.compare(arguments, compare.chosen_cases(arguments), ["limit", "tidemark", "etcd"], [], folder)
        self.assertEqual([sorted(len(rounds) for rounds in results.values()) for results, _ in saved],
                         [[1, 1, 1], [1, 1, 2]])
        self.assertIn("ended before its time", saved[-1][1])


class SaveTest(unittest.TestCase):
    def test_folders_are_not_written_twice(self):
        with tempfile.TemporaryDirectory() as place:
            made = [results_folder.make(pathlib.Path(place, "results", "day")).name for _ in range(3)]
        self.assertEqual(made, ["day", "day-2", "day-3"])

    def test_raw_results_can_be_read_again(self):
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place)
            compare.save(folder, {(MIX, "tidemark"): RESULTS[MIX, "tidemark"]}, "report")
            raw = json.loads((folder / "results.json").read_text())
            self.assertEqual((folder / "report.md").read_text(), "report")
        self.assertEqual(raw[0]["rounds"], RESULTS[MIX, "tidemark"])


class ContendersTest(unittest.TestCase):
    def test_etcds_newest_release_is_the_default(self):
        self.assertEqual(contenders.chosen(arguments_of()), (["limit", "tidemark", "etcd"], []))

    def test_without_it_debians_stands_in_and_that_is_said(self):
        names, left_out = contenders.chosen(arguments_of(etcd_binary="", etcd_debian_binary="d"))
        self.assertEqual(names, ["limit", "tidemark", "etcd-debian"])
        self.assertIn("without list-stream and k8s-100k", left_out[0])
        self.assertIn("- **Left out**: " + left_out[0], compare.header(arguments_of(), left_out, {}, []))

    def test_without_any_etcd_that_is_said(self):
        names, left_out = contenders.chosen(arguments_of(etcd_binary=""))
        self.assertEqual(names, ["limit", "tidemark"])
        self.assertEqual(len(left_out), 2)

    def test_who_was_asked_for_must_be_there(self):
        with self.assertRaises(SystemExit):
            contenders.chosen(arguments_of(contenders="tidemark,etcd", etcd_binary=""))
        with self.assertRaises(SystemExit):
            contenders.chosen(arguments_of(contenders="consul"))

    def test_debians_etcd_is_not_asked_for_streams(self):
        without = {case.workload for case in cases.every() if case.group in ("lists", "mixes")
                   and not contenders.takes_part("etcd-debian", case)}
        self.assertEqual(without, {"list-stream", "k8s-100k"})


class ServersTest(unittest.TestCase):
    """Nothing is left behind, however a server's time ends."""

    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.directory = pathlib.Path(self.place.name, "data")
        self.memory = pathlib.Path(self.place.name, "memory")
        self.directory.mkdir()
        self.memory.mkdir()
        self.addCleanup(self.place.cleanup)

    def server(self, *command):
        return servers.Server(command, self.directory, 1, {"ETCD_MEMORY_DIR": str(self.memory)}, health=False)

    def started(self):
        """One that is taken for ready at once."""
        server = self.server("sleep", "60")
        ready = mock.patch.object(server, "is_ready", return_value=True)
        ready.start()
        self.addCleanup(ready.stop)
        return server

    def assert_gone(self, server):
        self.assertIsNotNone(server.process.returncode)
        self.assertFalse(self.memory.exists())
        self.assertFalse(self.directory.exists())

    def test_a_start_that_fails_says_why(self):
        server = self.server("sh", "-c", "echo no such flag; exit 1")
        with self.assertRaisesRegex(RuntimeError, "sh does not start: no such flag"), server:
            pass
        self.assert_gone(server)

    def test_a_start_that_takes_too_long(self):
        server = self.server("sleep", "60")
        with mock.patch.object(servers, "START_LIMIT_S", 0.1), self.assertRaises(RuntimeError), server:
            pass
        self.assert_gone(server)

    def test_an_interrupted_start(self):
        server = self.server("sleep", "60")
        with mock.patch.object(server, "is_ready", side_effect=KeyboardInterrupt), \
                self.assertRaises(KeyboardInterrupt), server:
            pass
        self.assert_gone(server)

    def test_an_interrupted_load(self):
        server = self.started()
        with self.assertRaises(SystemExit), server:
            raise SystemExit(143)
        self.assert_gone(server)

    def test_an_interrupted_stop(self):
        server = self.started()
        with mock.patch.object(server, "stop", side_effect=KeyboardInterrupt), \
                self.assertRaises(KeyboardInterrupt), server:
            pass
        self.assert_gone(server)

    def test_the_data_of_a_failure_stays(self):
        server = self.started()
        with self.assertRaises(RuntimeError), server:
            raise RuntimeError("a wrong answer")
        self.assertIsNotNone(server.process.returncode)
        self.assertFalse(self.memory.exists())
        self.assertTrue(self.directory.exists())

    def test_sigterm_is_an_exception(self):
        script = ("import os, signal, servers, time\nservers.end_by_exception()\ntry:\n"
                  "  os.kill(os.getpid(), signal.SIGTERM)\n  time.sleep(9)\nfinally:\n  print('cleaned up')")
        done = subprocess.run(["python3", "-B", "-c", script], stdout=subprocess.PIPE, text=True, check=False,
                              cwd=pathlib.Path(__file__).parent)
        self.assertEqual((done.returncode, done.stdout), (143, "cleaned up\n"))


class SecondOpinionTest(unittest.TestCase):
    def test_what_etcds_tool_prints(self):
        output = """
Summary:
  Total:	0.5 secs.
  Requests/sec:	8570.1798

Latency distribution:
  50% in 0.0067 secs.
  99% in 0.0184 secs.
  99.9% in 0.0200 secs.
"""
        found = second_opinion.parse(output)
        self.assertAlmostEqual(found["per_s"], 8570.1798)
        self.assertAlmostEqual(found["p50"], 6700)
        self.assertAlmostEqual(found["p99"], 18400)


    def test_both_tools_get_a_fresh_server_for_each_load_and_the_results_are_kept(self):
        served = []

        def serve(_, contender, __):
            served.append(contender)
            return mock.MagicMock()

        figures_of_both = {"cpu_us": 1.0, "per_s": 2000.0, "p50": 3.0, "p99": 4.0}
        arguments = argparse.Namespace(directory=".", seconds=5, warm_up=1, etcd_benchmark_binary="b")
        with mock.patch.object(measuring, "fresh_server", serve), \
                mock.patch.object(second_opinion.quiet_disk, "wait"), \
                mock.patch.object(measuring, "run_tidebench", return_value=result(1, 2000, 3)), \
                mock.patch.object(second_opinion, "run_etcds_tool", return_value=figures_of_both) as tool, \
                tempfile.TemporaryDirectory() as place, mock.patch("builtins.print"):
            second_opinion.run(arguments, ["tidemark"], ["- header"], pathlib.Path(place))
            report = pathlib.Path(place, "second-opinion.md").read_text()
            rows = json.loads(pathlib.Path(place, "second-opinion.json").read_text())
        self.assertEqual(served, ["tidemark"] * 4)
        self.assertEqual([call.args[3] for call in tool.call_args_list], [10_000, 2000, 10_000] * 2)
        self.assertIn("| put | 64 | Tidemark | etcd's benchmark | 1.00 | 2000 | 3.00 | 4.00 |", report)
        self.assertEqual(len(rows), 4)


class CasesTest(unittest.TestCase):
    def test_two_compactions_fall_into_every_span(self):
        mix = next(case for case in cases.every() if case.workload == "k8s-100k")
        for asked in (0.5, 3, 5, 60, 599, 600, 601, 2000):
            for warm_up in (0, 1, 10, 100):
                load = mix.arguments(asked, warm_up)
                seconds = load[load.index("--seconds") + 1]
                period = load[load.index("--compact-every") + 1]
                self.assertLessEqual(period, 300)
                self.assertGreaterEqual(seconds, asked)
                due = [period / 2 + number * period for number in range(100)]
                self.assertGreaterEqual(sum(warm_up <= at < warm_up + seconds for at in due), 2)

    def test_lists_come_at_the_pace_of_kube_apiserver_and_each_at_least_once(self):
        mix = next(case for case in cases.every() if case.workload == "k8s-100k")
        load = mix.arguments(5, 1)
        self.assertEqual(load[load.index("--check-every") + 1], 300)
        self.assertGreaterEqual(load[load.index("--seconds") + 1], 4 * 300 / 24)

    def test_a_span_without_a_compaction_is_a_failure(self):
        mix = next(case for case in cases.every() if case.workload == "k8s-100k")
        seen = result(10, 100, 7, parts=("compactions", "cache checks", "requests"))
        server = mock.MagicMock()
        arguments = argparse.Namespace(directory=".", seconds=5, warm_up=1)
        with mock.patch.object(measuring, "fresh_server", server), \
                mock.patch.object(quiet_disk, "wait", return_value=False), \
                mock.patch.object(measuring, "run_tidebench", return_value=seen):
            self.assertFalse(measuring.measure(arguments, "tidemark", mix)["disk_was_calm"])
            seen["activities"][0]["answers"] = 1
            with self.assertRaisesRegex(RuntimeError, "the span had 1 compactions instead of 2"):
                measuring.measure(arguments, "tidemark", mix)

    def test_no_case_twice(self):
        names = [(case.name, case.clients) for case in cases.every()]
        self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    unittest.main()
