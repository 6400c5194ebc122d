#!/usr/bin/env python3
"""Fails on what the compiler does not see: layering, doors to the outside, sizes, head comments.

Usage: tidy.py ROOT. The rules are the functions below named check_*; those of one file yield (rule,
line number, text). Exceptions stand in allowed.txt, each with its reason; one that is no longer needed
fails too, so the list only shrinks by itself.
"""

import pathlib
import re
import sys

MAX_FILE_LINES = 700
MAX_FUNCTION_LINES = 70
MAX_COLUMNS = 100

MODULES = ["base", "journal", "mvcc", "kvstore", "partition", "inspect", "server"]
MAY_INCLUDE = {
    "base": {"base"},
    "journal": {"base", "journal"},
    "mvcc": {"base", "mvcc"},
    "kvstore": {"base", "journal", "mvcc", "kvstore"},
    "partition": {"base", "journal", "mvcc", "kvstore", "partition"},
    "inspect": {"base", "journal", "mvcc", "kvstore", "partition", "inspect"},
    "server": set(MODULES),
}
WITHOUT_PROTO = {"base", "journal", "mvcc"}

# Only these may reach the machine; everybody else is handed a door from src/base.
DOORS = re.compile(r"^src/(base/(posix|thread|tmpfs)_|base/temporary_directory|server/)")
OUTSIDE = [
    ("clock", re.compile(r"std::chrono::\w+_clock|absl::Now\(|\b(clock_gettime|gettimeofday)\(|"
                         r"\btime\((nullptr|NULL|0)\)")),
    ("thread", re.compile(r"std::j?thread\b|std::async\b|\bpthread_create\(")),
    ("random", re.compile(r"\bs?rand\(|std::random_device|absl::\w*BitGen|\bgetrandom\(")),
    ("socket", re.compile(r"::socket\(|<sys/socket\.h>|<netinet/")),
    ("file", re.compile(r"(?<![\w>])::(open|openat|fsync|fdatasync|rename|unlink|mmap)\(|"
                        r"std::[io]?fstream|\bfopen\(")),
]
# The library's mutex is not seen by ThreadSanitizer and looks for deadlocks at each lock.
FOREIGN_MUTEX = re.compile(r"absl::(Mutex|MutexLock|ReaderMutexLock|WriterMutexLock|"
                           r"ReleasableMutexLock|CondVar)\b|absl/synchronization/mutex\.h|"
                           r"std::(shared_|timed_|recursive_)?mutex\b|std::condition_variable")
MUTEX_HEADER = "src/base/mutex.h"
SLEEP = re.compile(r"\b(absl::SleepFor|sleep_for|sleep_until|u?sleep|nanosleep)\(")
PLANTED_BUG = re.compile(r'PLANTED_BUG\(\s*"(\w+)"')
HUNTS = [(re.compile(r"^scripts/stages/30-checked$"), re.compile(r"^misses (\w+)", re.M)),
         (re.compile(r"^tests/fuzz/planted_bugs\.txt$"), re.compile(r"^\w+ (\w+)$", re.M)),
         (re.compile(r"^(tests/sim/planted_bugs\.h|.*_test\.cc)$"), re.compile(r'"(\w+)"'))]
MACHINE_PATH = re.compile(r"(?<![\w.~$}-])/(work|home|Users)/\w")

CODE = {".h", ".cc"}
TEXT = CODE | {".py", ".sh", ".go", ".md", ".txt", ".cmake", ".proto", ".yaml", ".yml", ""}
FOLDERS = ["src", "tests", "bench", "cmake", "docker", "docs", "proto", "scripts", ".ci"]


class Source:
    def __init__(self, path, text):
        self.path = path  # relative to the root, with /
        self.text = text
        self.lines = text.splitlines()
        self.is_code = pathlib.PurePosixPath(path).suffix in CODE
        self.is_test = bool(re.match(r"tests/|.*_test\.cc$|.*_for_test\.(h|cc)$", path))
        parts = path.split("/")
        self.module = parts[1] if parts[0] == "src" and len(parts) > 2 else None
        self.code_lines = blank_comments_and_strings(text).splitlines() if self.is_code else []


def blank_comments_and_strings(text):
    """The same text with comments and literals as spaces; line breaks stay."""
    literal = re.compile(
        r'R"(?P<delimiter>[^()\s\\]{0,16})\(.*?\)(?P=delimiter)"'
        r"|//[^\n]*|/\*.*?\*/"
        r'|"(?:\\.|[^"\\\n])*"'
        r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.S)
    return literal.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def check_outside(source):
    if not source.module or source.is_test or DOORS.match(source.path):
        return
    includes = [line if line.startswith("#include <") else "" for line in source.lines]
    for number, line in enumerate(source.code_lines, 1):
        for rule, pattern in OUTSIDE:
            if pattern.search(line) or pattern.search(includes[number - 1]):
                yield rule, number, "reaches the machine past src/base"


def check_layers(source):
    if not source.module:
        return
    for number, line in enumerate(source.lines, 1):
        include = re.match(r'\s*#include ["<]([^">]+)[">]', line)
        if not include:
            continue
        target = include.group(1)
        to = re.match(r"src/(\w+)/", target)
        if to and to.group(1) not in MAY_INCLUDE.get(source.module, set()):
            yield "layer", number, f"src/{source.module} must not include {target}"
        is_proto = target.endswith(".pb.h") or target.startswith(("proto/", "google/protobuf/"))
        if is_proto and source.module in WITHOUT_PROTO and not source.is_test:
            yield "layer", number, f"src/{source.module} must not know protobuf: {target}"
        if target.startswith("tests/") and not source.is_test:
            yield "layer", number, f"only tests may include {target}"


def check_size(source):
    if source.is_code and len(source.lines) > MAX_FILE_LINES:
        yield "file-length", len(source.lines), f"more than {MAX_FILE_LINES} lines"


def check_columns(source):
    if not source.is_code:
        return
    for number, line in enumerate(source.lines, 1):
        if len(line) > MAX_COLUMNS:
            yield "columns", number, f"{len(line)} columns"


def functions(code_lines):
    """(name, first line, last line) of bodies that lie in namespaces and classes."""
    container = re.compile(r"(\btemplate\b.*>\s*)?\b(namespace|class|struct|union|enum|extern)\b")
    # "A::A() : b_(b), c_" before a brace: the value of a member, not the body.
    member_value = re.compile(r"\)[\s\w]*:(?!:).*[\w>]$", re.S)
    stack = []
    head, head_line = "", 0
    for number, line in enumerate(code_lines, 1):
        if line.lstrip().startswith("#"):
            continue
        for character in line + "\n":
            if character == "{":
                text = re.sub(r"\b(public|private|protected):", "", head).strip()
                inside = bool(stack) and stack[-1][0] != "container"
                if not inside and member_value.search(text):
                    stack.append(("member", head, head_line))
                elif not inside and container.match(text):
                    stack.append(("container", "", 0))
                elif not inside and ")" in text:
                    name = re.search(r"([\w~:]+)\s*\(", text)
                    stack.append(("function", name.group(1) if name else "?", head_line))
                else:
                    stack.append(("block", "", 0))
                head = ""
            elif character == "}":
                kind, name, first = stack.pop() if stack else ("block", "", 0)
                if kind == "function":
                    yield name, first, number
                head = name + "{}" if kind == "member" else ""
                head_line = first if kind == "member" else head_line
            elif character == ";":
                head = ""
            else:
                if not head.strip() and not character.isspace():
                    head_line = number
                head += character


def check_functions(source):
    for name, first, last in functions(source.code_lines):
        if last - first + 1 > MAX_FUNCTION_LINES:
            yield "function-length", first, f"{name} has {last - first + 1} lines"


def check_head_comment(source):
    if source.path.endswith(".h") and not source.text.startswith("// "):
        yield "head-comment", 1, "a header opens with what it is and what it hides"


def check_machine_paths(source):
    if source.path.startswith("tests/tidy/"):
        return
    for number, line in enumerate(source.lines, 1):
        if MACHINE_PATH.search(line):
            yield "machine-path", number, "an absolute path of one machine"


def check_sleep(source):
    if not (source.is_code and source.is_test):
        return
    for number, line in enumerate(source.code_lines, 1):
        if SLEEP.search(line):
            yield "sleep", number, "tests wait for conditions, not for time"


def check_mutex(source):
    if not source.module or not source.is_code or source.path == MUTEX_HEADER:
        return
    for number, line in enumerate(source.code_lines, 1):
        include = source.lines[number - 1]
        if FOREIGN_MUTEX.search(line) or (include.startswith("#include")
                                          and FOREIGN_MUTEX.search(include)):
            yield "mutex", number, f"locks are those of {MUTEX_HEADER}"


CHECKS = [check_outside, check_layers, check_size, check_columns, check_functions,
          check_head_comment, check_machine_paths, check_sleep, check_mutex]


def findings_of(source):
    for check in CHECKS:
        for rule, number, text in check(source):
            yield rule, source.path, number, text


def sources(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            relative = path.relative_to(root).as_posix()
            if path.suffix not in TEXT or not path.is_file() or "__pycache__" in relative:
                continue
            try:
                yield Source(relative, path.read_text(encoding="utf-8"))
            except UnicodeDecodeError:
                continue


def read_allowed(text):
    """Lines "rule path: reason"; # starts a comment."""
    allowed = set()
    for line in text.splitlines():
        entry, _, reason = line.split("#")[0].partition(":")
        if not entry.strip():
            continue
        if len(entry.split()) != 2 or not reason.strip():
            raise ValueError(f'allowed.txt: expected "rule path: reason": {line}')
        allowed.add(tuple(entry.split()))
    return allowed


def check_planted_bugs(all_sources):
    """A planted bug that nothing looks for proves nothing; there is no exception."""
    hunted = set()
    for source in all_sources:
        for path, hunt in HUNTS:
            if path.match(source.path):
                hunted.update(hunt.findall(source.text))
    for source in all_sources:
        if not source.module or source.is_test:
            continue
        for name in PLANTED_BUG.findall(source.text):
            if name not in hunted:
                yield f"{source.path}: planted-bug: nothing looks for {name}"


def run(all_sources, allowed):
    problems = list(check_planted_bugs(all_sources))
    used = set()
    for source in all_sources:
        for rule, path, number, text in findings_of(source):
            if (rule, path) in allowed:
                used.add((rule, path))
            else:
                problems.append(f"{path}:{number}: {rule}: {text}")
    for rule, path in sorted(allowed - used):
        problems.append(f"allowed.txt: \"{rule} {path}\" is no longer needed")
    return problems


def main():
    root = pathlib.Path(sys.argv[1])
    allowed = read_allowed((root / "tests/tidy/allowed.txt").read_text())
    all_sources = list(sources(root))
    if not any(source.module for source in all_sources):
        sys.exit(f"no sources under {root}")
    problems = run(all_sources, allowed)
    print("\n".join(problems))
    sys.exit(f"tidy: {len(problems)} problem(s)" if problems else 0)


if __name__ == "__main__":
    main()
