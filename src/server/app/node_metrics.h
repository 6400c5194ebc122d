// The metrics of the node itself: store, journal, leases, identity (contract 11).
//
// Hides names and help texts. Everything is read when somebody scrapes.
#pragma once

#include "src/journal/embedded_journal.h"
#include "src/partition/local_store.h"
#include "src/server/observability/metrics.h"
#include "src/server/services/service_context.h"

namespace tidemark::server {

// Everything here must outlive the last scrape.
struct NodeParts {
  partition::LocalStore& store;
  const journal::JournalStats& journal;
  ServiceContext& context;
  const MemoryBudget& budget;
};
void AddNodeMetrics(Metrics& metrics, NodeParts parts,
                    const std::map<std::string, bool>& feature_gates);

// Sets the journal's observers: the time of writes, of syncs, and of both together, a batch's way
// to the disk.
void ObserveJournal(Metrics& metrics, journal::EmbeddedJournalOptions& options);
std::function<void(absl::Duration)> CompactionObserver(Metrics& metrics, const Clock& clock);
std::function<void(int64_t ttl_seconds)> LeaseTtlObserver(Metrics& metrics);
// The text of all metrics, with the scrapes counted as Go's handler does.
std::function<std::string()> CountedScrapes(Metrics& metrics);

}  // namespace tidemark::server
