#!/usr/bin/env python3
"""Every rule of tidy.py finds what it is for and leaves the rest alone."""

import unittest

import tidy


def rules(path, text):
    return [rule for rule, *_ in tidy.findings_of(tidy.Source(path, text))]


def function(lines, signature="void F(int a) {"):
    return signature + "\n" + "  G();\n" * (lines - 2) + "}\n"


class TidyTest(unittest.TestCase):
    def test_outside(self):
        for rule, line in [
                ("clock", "auto now = std::chrono::steady_clock::now();"),
                ("clock", "absl::Time t = absl::Now();"),
                ("clock", "srand2(time(nullptr));"),
                ("thread", "std::thread t([] {});"),
                ("random", "int x = rand();"),
                ("socket", "int fd = ::socket(AF_INET, SOCK_STREAM, 0);"),
                ("socket", "#include <sys/socket.h>"),
                ("file", "int fd = ::open(path, O_RDONLY);"),
                ("file", "::fsync(fd);"),
                ("file", "std::ifstream in(path);")]:
            self.assertEqual(rules("src/kvstore/a.cc", line + "\n"), [rule], line)
            for door in ["src/base/posix_a.cc", "src/base/thread_a.cc", "src/base/tmpfs_a.cc",
                         "src/server/a.cc"]:
                self.assertEqual(rules(door, line + "\n"), [], line)
        for line in ["// std::thread is not used here", 'Log("rand()");', "file->open(path);",
                     "files.Open(path);", "Operand(x);", "clock.Monotonic();"]:
            self.assertEqual(rules("src/kvstore/a.cc", line + "\n"), [], line)

    def test_layers(self):
        def include(module, target, name="a.cc"):
            return rules(f"src/{module}/{name}", f'#include "{target}"\n')

        for module, target in [("base", "src/mvcc/a.h"), ("mvcc", "src/journal/a.h"),
                               ("journal", "src/mvcc/a.h"), ("mvcc", "src/kvstore/a.h"),
                               ("kvstore", "src/partition/a.h"), ("partition", "src/server/a.h"),
                               ("mvcc", "proto/rpc.pb.h"), ("journal", "etcd/kv.pb.h"),
                               ("base", "google/protobuf/message.h"),
                               ("base", "tests/sim/env/world.h")]:
            self.assertEqual(include(module, target), ["layer"], (module, target))
        for module, target in [("server", "src/base/a.h"), ("server", "src/mvcc/a.h"),
                               ("partition", "src/journal/a.h"), ("kvstore", "src/mvcc/a.h"),
                               ("kvstore", "src/journal/a.h"), ("journal", "src/base/a.h"),
                               ("mvcc", "src/mvcc/a.h"), ("kvstore", "proto/rpc.pb.h")]:
            self.assertEqual(include(module, target), [], (module, target))
        self.assertEqual(include("kvstore", "tests/sim/env/world.h", "a_test.cc"), [])
        self.assertEqual(include("mvcc", "proto/kv.pb.h", "a_test.cc"), [])  # as the model

    def test_sizes(self):
        self.assertEqual(rules("src/base/a.cc", "int a;\n" * 700), [])
        self.assertEqual(rules("src/base/a.cc", "int a;\n" * 701), ["file-length"])
        self.assertEqual(rules("tests/a.cc", "/" * 100 + "\n"), [])
        self.assertEqual(rules("tests/a.cc", "/" * 101 + "\n"), ["columns"])

    def test_function_length(self):
        for signature in ["void F(int a) {", "static int G() const {", "TEST(Foo, Bar) {",
                          "A::A(int b) : b_(b), c_{b} {",
                          "template <typename T>\nvoid F(T a) {",
                          "void F(struct stat s) {"]:
            extra = signature.count("\n")
            self.assertEqual(rules("src/base/a.cc", function(70 - extra, signature)), [], signature)
            self.assertEqual(rules("src/base/a.cc", function(72, signature)), ["function-length"],
                             signature)
        nested = "namespace a {\nclass B {\n public:\n" + function(71) + "};\n}\n"
        self.assertEqual(rules("src/base/a.cc", nested), ["function-length"])
        two = "namespace a {\nnamespace {\n" + function(60) + function(60) + "}\n}\n"
        self.assertEqual(rules("src/base/a.cc", two), [])
        braces_in_text = "void F() {\n" + '  G("{{{", \'{\', R"(} " {)");\n' * 68 + "}\n"
        self.assertEqual(rules("src/base/a.cc", braces_in_text + function(10)), [])
        table = "constexpr int kTable[] = {\n" + "  1,\n" * 100 + "};\n"
        self.assertEqual(rules("src/base/a.cc", table), [])

    def test_head_comment(self):
        self.assertEqual(rules("src/base/a.h", "#pragma once\n"), ["head-comment"])
        self.assertEqual(rules("src/base/a.h", "// What it is.\n#pragma once\n"), [])

    def test_machine_paths(self):
        for path in ["/work" + "/main", "/home" + "/somebody/x", "/Users" + "/a/b"]:
            self.assertEqual(rules("docs/a.md", f"see {path}\n"), ["machine-path"], path)
        for path in ["src/work" + "/a", "$ROOT/home" + "/a", "/usr/lib", "net/work" + "/x", "~/work" + "/x"]:
            self.assertEqual(rules("docs/a.md", f"see {path}\n"), [], path)

    def test_sleep(self):
        for line in ["absl::SleepFor(absl::Seconds(1));", "std::this_thread::sleep_for(x);",
                     "usleep(10);", "sleep(1);"]:
            self.assertEqual(rules("src/base/a_test.cc", line + "\n"), ["sleep"], line)
            self.assertEqual(rules("tests/sim/a.cc", line + "\n"), ["sleep"], line)
            self.assertEqual(rules("src/base/a.cc", line + "\n"), [], line)

    def test_mutex(self):
        for line in ["absl::Mutex mutex_;", "absl::MutexLock lock(&mutex_);", "absl::CondVar c;",
                     "absl::ReaderMutexLock lock(&mutex_);", "std::mutex mutex_;",
                     "std::condition_variable c;", '#include "absl/synchronization/mutex.h"']:
            for path in ["src/server/a.h", "src/base/a.h"]:
                self.assertEqual(rules(path, "// A.\n" + line + "\n"), ["mutex"], (path, line))
            for path in ["src/base/mutex.h", "tests/a.h"]:
                self.assertEqual(rules(path, "// A.\n" + line + "\n"), [], (path, line))
        for line in ["Mutex mutex_;", "MutexLock lock(&mutex_);", "// not absl::Mutex",
                     '#include "absl/synchronization/notification.h"',
                     '#include "src/base/mutex.h"']:
            self.assertEqual(rules("src/server/a.cc", line + "\n"), [], line)

    def test_allowed_entries_are_used_or_refused(self):
        long_file = tidy.Source("src/base/a.cc", "int a;\n" * 701)
        entry = ("file-length", "src/base/a.cc")
        self.assertEqual(len(tidy.run([long_file], set())), 1)
        self.assertEqual(tidy.run([long_file], {entry}), [])
        self.assertEqual(len(tidy.run([], {entry})), 1)
        self.assertEqual(tidy.read_allowed("# c\nfile-length src/base/a.cc: why\n"), {entry})
        with self.assertRaises(ValueError):
            tidy.read_allowed("file-length src/base/a.cc\n")

    def test_planted_bugs(self):
        bug = tidy.Source("src/mvcc/a.cc", 'if (PLANTED_BUG(\n    "mvcc_x")) return;\n')
        self.assertEqual(len(tidy.run([bug], set())), 1)
        for path, line in [("scripts/stages/30-checked", "misses {} src/mvcc/a_test '*B*'"),
                           ("tests/sim/planted_bugs.h", '    "{}",  // S1'),
                           ("tests/fuzz/planted_bugs.txt", "huffman {}"),
                           ("src/mvcc/a_test.cc", 'Run("{}");')]:
            for name, problems in [("mvcc_x", 0), ("mvcc_xy", 1)]:
                hunt = tidy.Source(path, "// c\n" + line.format(name) + "\n")
                self.assertEqual(len(tidy.run([bug, hunt], set())), problems, (path, name))
        unused = tidy.Source("scripts/stages/30-checked", "# misses mvcc_x a b\n")
        self.assertEqual(len(tidy.run([bug, unused], set())), 1)


if __name__ == "__main__":
    unittest.main()
