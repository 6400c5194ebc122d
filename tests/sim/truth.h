// What really happened, read from the journal at the end of a run: the changes of every revision.
//
// Also checks the journal itself (positions dense, revision rule, no key without its lease) while
// reading.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "src/journal/journal.h"
#include "src/partition/partition_map.h"
#include "tests/sim/model.h"

namespace tidemark::sim {

class Truth {
 public:
  explicit Truth(const partition::PartitionMap& map) : map_(map) {}

  // Entries in journal order, from position 1, without holes.
  void Add(const journal::Entry& entry);

  const Model& model() const { return model_; }
  // Leases whose revocation is in the journal, with the revision after it.
  const std::map<int64_t, int64_t>& revoked_leases() const { return revoked_leases_; }
  // Revisions made by a lease's end rather than by a client's write.
  const std::map<int64_t, int64_t>& revocations() const { return revocations_; }
  const std::vector<int64_t>& compactions() const { return compactions_; }
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  // Numbered by their sub revisions.
  void AddChanges(std::vector<std::pair<int64_t, ModelChange>> changes);
  void EndLease(int64_t lease);

  const partition::PartitionMap& map_;
  Model model_;
  Position last_;
  Revision revision_ = kEmptyStoreRevision;
  std::map<int64_t, int64_t> revoked_leases_;
  std::map<int64_t, int64_t> revocations_;  // revision -> lease
  std::vector<int64_t> compactions_;
  std::vector<std::string> problems_;
};

}  // namespace tidemark::sim
