// What the parts of a data directory have to know of each other, to be checked against each other.
//
// Filled by the identity's, the journal's and the checkpoints' parts in that order, read by those
// that come later in the list. Plain values; used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "src/journal/history.h"
#include "src/journal/journal.h"

namespace tidemark::inspect {

struct DirectoryFacts {
  // --- Of the identity ---
  std::string owner;  // who the next start would say it is; empty: not known

  // --- Of the journal ---
  bool has_journal = false;       // set up at least
  std::optional<uint64_t> store;  // its identity
  bool journal_opens = false;     // what follows is as of the next start
  Position first{1};              // the oldest entry that can be replayed
  journal::Tail tail;
  journal::History history;
  std::string partition_map;      // that its entries name; empty: none, or trimmed
  std::set<PartitionId> claimed;  // partitions that somebody ever wrote to

  // --- Of the checkpoints ---
  std::map<PartitionId, Revision> last_changes;

  bool is_trimmed() const { return first > Position(1); }
};

}  // namespace tidemark::inspect
