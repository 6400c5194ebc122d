# Shared by the scripts in this folder; sourced, never run.

set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
build_root="${TIDEMARK_BUILD_ROOT:-$root/build}"
cache_root="${XDG_CACHE_HOME:-$HOME/.cache}/tidemark"
release_build="$build_root/release"
tidemark_binary="$release_build/tidemark"
results="$build_root/test-results"
checked_arguments=(
  -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang -DTIDEMARK_SANITIZE=address
  -DTIDEMARK_PLANTED_BUGS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo
)
fuzz_build="$build_root/fuzz"
fuzz_arguments=(
  -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang -DTIDEMARK_SANITIZE=fuzzer
  -DTIDEMARK_PLANTED_BUGS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo
)

# A checkout elsewhere shall find what this one compiled.
export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

# Compiling a file that includes gRPC takes about 1 GB; a small machine must not swap.
parallel_jobs() {
  local cores memory_gb
  cores="$(nproc)"
  memory_gb="$(awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo)"
  local jobs=$((memory_gb * 2 / 3))
  ((jobs > cores)) && jobs=$cores
  ((jobs < 1)) && jobs=1
  echo "$jobs"
}

# configure FOLDER [cmake arguments]: a build folder, configured again only when the arguments changed.
configure() {
  local folder="$1"
  shift
  local wanted="$root $*"
  if [[ ! -f "$folder/build.ninja" || "$(cat "$folder/.arguments" 2>/dev/null)" != "$wanted" ]]; then
    mkdir -p "$folder"
    cmake -G Ninja -S "$root" -B "$folder" "$@" >"$folder/configure.log" 2>&1 || {
      cat "$folder/configure.log" >&2
      die "cmake failed; packages missing? try scripts/install-packages"
    }
    printf '%s' "$wanted" >"$folder/.arguments"
  fi
}

# compile FOLDER [targets]: with ninja's status line on stderr, so that stdout stays for answers.
compile() {
  local folder="$1"
  shift
  NINJA_STATUS="[%f/%t, %e s] " ninja -C "$folder" -j "$(parallel_jobs)" "$@" >&2
}

# peer NAME: its path (scripts/peers), or nothing where it cannot be had.
peer() {
  "$root/scripts/peers" "$1" | tail -n 1 || say "$1 cannot be had here"
}

# Go that can build the peers: any release that fetches the toolchain a module asks for.
have_go() {
  command -v go >/dev/null || return 1
  local minor
  minor="$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')"
  [[ -n "$minor" && "$minor" -ge 21 ]]
}

# --- For the stages of scripts/test: one line per outcome, read back by the summary.

record() { printf '%s\n' "$*" >>"${TIDEMARK_STAGE_RESULT:-/dev/null}"; }
passed() { record "passed $1"; }
failed() {
  record "failed $1"
  say "FAILED: $1"
}
skipped() {
  record "skipped $1"
  say "SKIPPED: $1"
}

# check NAME COMMAND...: one outcome from one command.
check() {
  local name="$1"
  shift
  if "$@"; then passed "$name"; else failed "$name"; fi
}

# run_ctest FOLDER PREFIX [ctest arguments]: one outcome for each test binary.
run_ctest() {
  local folder="$1" prefix="$2"
  shift 2
  local report="$folder/ctest.xml"
  rm -f "$report"
  ctest --test-dir "$folder" -j "$(nproc)" --output-on-failure --output-junit "$report" "$@" >&2 || true
  if [[ ! -f "$report" ]]; then
    failed "$prefix: ctest wrote no report"
    return
  fi
  python3 - "$report" "$prefix" >>"${TIDEMARK_STAGE_RESULT:-/dev/stdout}" <<'PY'
import re
import sys
import xml.etree.ElementTree as tree
for case in tree.parse(sys.argv[1]).getroot().iter("testcase"):
    name = sys.argv[2] + ": " + case.get("name")
    print({"run": "passed", "disabled": "skipped"}.get(case.get("status"), "failed"), name)
    for inner in sorted(set(re.findall(r"\[  SKIPPED \] (\w+\.[\w/]+)", case.findtext("system-out") or ""))):
        print("skipped", name + ": " + inner)
PY
}

# run_go FOLDER PREFIX [go test arguments]: one outcome for each Go test and subtest.
run_go() {
  local folder="$1" prefix="$2" log
  shift 2
  log="$results/go-$prefix.log"
  { (cd "$folder" && go test -count=1 -v "$@") 2>&1 || echo "go test ended with status $?"; } |
    tee "$log" | { grep -vE '^(=== (RUN|PAUSE|CONT|NAME)|    --- PASS)' || true; } >&2
  awk -v prefix="$prefix" '
    /^ *--- PASS: / { print "passed", prefix ": " $3 }
    /^ *--- FAIL: / { print "failed", prefix ": " $3 }
    /^=== RUN/ { reason = "" }
    /^    [a-z_]+\.go:[0-9]+: / { reason = $0; sub(/^ *[a-z_]+\.go:[0-9]+: /, "", reason) }
    /^ *--- SKIP: / { print "skipped", prefix ": " $3 ": " reason }
  ' "$log" >>"${TIDEMARK_STAGE_RESULT:-/dev/stdout}"
  if grep -q '^go test ended with' "$log" && ! grep -q '^--- FAIL' "$log"; then
    failed "$prefix: $(tail -n 1 "$log"), without a failed test (see $log)"
  fi
}
