// A sequential etcd, small enough to be read in one go: the oracle of the history check.
//
// Built from the list of changes of every revision (the journal's truth); answers requests as of
// any revision. Knows the requests that the simulated clients send, nothing more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proto/rpc.pb.h"

namespace tidemark::sim {

struct ModelChange {
  std::string key;
  bool is_delete = false;
  std::string value;
  int64_t lease = 0;
  friend bool operator==(const ModelChange&, const ModelChange&) = default;
};

class Model {
 public:
  // The changes of the next revision (current + 1), in sub order.
  void Apply(const std::vector<ModelChange>& changes);
  int64_t revision() const { return revision_; }
  const std::vector<ModelChange>& ChangesAt(int64_t revision) const;

  std::optional<mvccpb::KeyValue> Get(const std::string& key, int64_t at) const;
  std::vector<mvccpb::KeyValue> Range(const std::string& key, const std::string& range_end,
                                      int64_t at) const;

  // Answers as of the state at `at`; headers hold only the revision.
  etcdserverpb::RangeResponse Answer(const etcdserverpb::RangeRequest& request, int64_t at) const;
  // What the write changes when it is ordered right behind revision `at`, and its answer.
  struct Written {
    std::vector<ModelChange> changes;
    etcdserverpb::PutResponse put;
    etcdserverpb::DeleteRangeResponse removed;
    etcdserverpb::TxnResponse txn;
  };
  Written Evaluate(const etcdserverpb::PutRequest& request, int64_t at) const;
  Written Evaluate(const etcdserverpb::DeleteRangeRequest& request, int64_t at) const;
  Written Evaluate(const etcdserverpb::TxnRequest& request, int64_t at) const;

 private:
  struct Version {
    int64_t main;
    std::optional<mvccpb::KeyValue> kv;  // absent: deleted
  };
  bool Holds(const etcdserverpb::Compare& compare, int64_t at) const;

  int64_t revision_ = 1;
  std::map<std::string, std::vector<Version>> versions_;
  std::map<int64_t, std::vector<ModelChange>> changes_;
};

bool InRange(const std::string& candidate, const std::string& key, const std::string& range_end);

}  // namespace tidemark::sim
