// The limit of a log: appends of one size, so many for each durable write, in one thread.
//
//   append_limit FILE [ENTRY_BYTES [ENTRIES_PER_SYNC [SECONDS]]]
//
// Prints JSON: which way it wrote (journal_file.h), CPU and time for each entry, entries a second,
// percentiles of a sync's time.

#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include <nlohmann/json.hpp>

#include "bench/limit/journal_file.h"
#include "bench/tidebench/histogram.h"
#include "bench/tidebench/process_sample.h"
#include "bench/tidebench/wire/client.h"

int main(int argc, char** argv) {
  using namespace tidemark::bench;
  if (argc < 2) {
    std::fprintf(stderr, "usage: append_limit FILE [ENTRY_BYTES [ENTRIES_PER_SYNC [SECONDS]]]\n");
    return 2;
  }
  const int64_t entry_bytes = argc > 2 ? std::atoll(argv[2]) : 1100;
  const int64_t batch = argc > 3 ? std::atoll(argv[3]) : 1;
  const double seconds = argc > 4 ? std::atof(argv[4]) : 3;
  JournalFile journal(argv[1]);
  const std::string entry(entry_bytes, 'e');
  std::string block;
  Histogram sync_ns;
  const MachineSample before = SampleMachine();
  int64_t now_ns = before.at_ns;
  while (static_cast<double>(now_ns - before.at_ns) < seconds * 1e9) {
    block.clear();
    for (int64_t i = 0; i < batch; ++i) block += entry;
    journal.AppendAndSync(block);
    const int64_t done_ns = MonotonicNs();
    sync_ns.Add(done_ns - now_ns);
    now_ns = done_ns;
  }
  const MachineSample after = SampleMachine();
  const double entries = static_cast<double>(sync_ns.count() * batch);
  const double elapsed_s = static_cast<double>(after.at_ns - before.at_ns) / 1e9;
  const nlohmann::json result = {
      {"way", journal.way()},
      {"entry_bytes", entry_bytes},
      {"entries_per_sync", batch},
      {"cpu_us_per_entry",
       static_cast<double>(after.own_cpu_ns - before.own_cpu_ns) / 1e3 / entries},
      {"entries_per_s", entries / elapsed_s},
      {"sync_us",
       {{"p50", static_cast<double>(sync_ns.Percentile(0.5)) / 1e3},
        {"p99", static_cast<double>(sync_ns.Percentile(0.99)) / 1e3},
        {"max", static_cast<double>(sync_ns.max()) / 1e3}}}};
  std::printf("%s\n", result.dump(2).c_str());
}
