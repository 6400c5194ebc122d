"""Figures, tables and charts of made-up results."""

import argparse
import unittest
from unittest import mock
import xml.etree.ElementTree as tree

import cases
import charts
import compare
import figures
import quiet_disk
import second_opinion
import svg
import tables

PUT = cases.Case("put", 64, limit=cases.DURABLE)
MIX = cases.Case("k8s-100k", 1, limit="", group="mixes", label="mix & more")


def result(cpu_us, per_s, p50, parts=("requests",)):
    latency = {"p50": p50, "p90": 2 * p50, "p99": 3 * p50, "p99.9": 4 * p50, "max": 5 * p50}
    return {
        "configuration": {"keys": 1000, "rate": 0}, "requests_per_s": per_s,
        "activities": [{"name": name, "is_main": name == parts[-1], "answers": 100, "per_s": per_s,
                        "latency_us": latency} for name in parts],
        "client": {"cores": 0.25}, "other_cores": 0.5,
        "server": {"cpu_us_per_request": cpu_us, "requests_per_cpu_second": 1e6 / cpu_us,
                   "cores": 1.0, "rss_bytes": 2_000_000, "written_bytes": 150_000}}


RESULTS = {
    (PUT, "limit"): [result(5, 50_000, 100), result(5, 50_000, 100)],
    (PUT, "tidemark"): [result(10, 40_000, 200), result(12, 20_000, 300)],
    (PUT, "etcd"): [result(80, 10_000, 800), result(60, 5_000, 900)],
    (MIX, "tidemark"): [result(10, 100, 7, parts=("watch", "writes"))],
}


class FiguresTest(unittest.TestCase):
    def test_ratios_pair_the_rounds_and_turn_where_less_is_better(self):
        ours, theirs = RESULTS[PUT, "tidemark"], RESULTS[PUT, "etcd"]
        self.assertEqual(figures.ratios(ours, theirs, "per_s"), [4, 4])
        self.assertEqual(figures.ratios(ours, theirs, "p50"), [4, 3])
        self.assertEqual(figures.ratios(ours, theirs, "cpu_us"), [8, 5])

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
        with mock.patch.object(quiet_disk, "sync_seconds", return_value=[0.0001, 1]), \
                mock.patch.object(quiet_disk.time, "monotonic", side_effect=[0, 1, 19, 21]):
            quiet_disk.wait(".")


class RunTest(unittest.TestCase):
    """The loop over rounds, cases and contenders, with made-up measurements."""

    def run_with(self, measure, groups, rounds=2):
        arguments = argparse.Namespace(contenders="limit,tidemark,etcd", groups=groups, workloads="",
                                       clients="", rounds=rounds)
        with mock.patch.object(compare, "measure", measure), \
                mock.patch.object(compare, "show"), mock.patch("sys.stderr"):
            return compare.run(arguments)

    def test_everyone_runs_in_each_round_and_another_one_goes_first(self):
        order = []

        def measure(_, contender, case):
            order.append(contender)
            return result(10, 100, 7)

        results, failures = self.run_with(measure, "lists")
        self.assertEqual(failures, [])
        self.assertEqual({len(rounds) for rounds in results.values()}, {2})
        self.assertEqual(order[:6], ["limit", "tidemark", "etcd", "tidemark", "etcd", "limit"])

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


class CasesTest(unittest.TestCase):
    def test_no_case_twice(self):
        names = [(case.name, case.clients) for case in cases.every()]
        self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    unittest.main()
