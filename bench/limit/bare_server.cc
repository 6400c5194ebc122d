// The bare limits that docs/performance.md compares with, as a server for bench/tidebench.
//
//   bare_server PORT                 a map in memory behind nghttp2: the limit of reads and watches
//   bare_server PORT JOURNAL_FILE    writes answered when they are durable: the limit of writes

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "bench/limit/bare_store.h"
#include "bench/limit/bare_transport.h"
#include "bench/limit/journal_file.h"

int main(int argc, char** argv) {
  using namespace tidemark::bench;
  signal(SIGPIPE, SIG_IGN);
  std::optional<JournalFile> journal;
  if (argc > 2) journal.emplace(argv[2]);
  if (journal) std::printf("journal: %s\n", std::string(journal->way()).c_str());
  BareStore store(journal ? &*journal : nullptr);
  BareTransport transport(static_cast<uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0), &store);
  std::printf("listening on 127.0.0.1:%d\n", transport.port());
  std::fflush(stdout);
  transport.Run();
}
