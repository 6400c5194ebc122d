// Random requests over a small key space, drawn so that most of them mean something: existing keys,
// old and new revisions, leases that exist or not, and now and then nonsense.
//
// The same seed gives the same stream. Learns the current revision from the answers.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "proto/rpc.pb.h"

namespace tidemark::differential {

using Request = std::variant<etcdserverpb::RangeRequest, etcdserverpb::PutRequest,
                             etcdserverpb::DeleteRangeRequest, etcdserverpb::TxnRequest,
                             etcdserverpb::CompactionRequest, etcdserverpb::LeaseGrantRequest,
                             etcdserverpb::LeaseRevokeRequest, etcdserverpb::LeaseTimeToLiveRequest,
                             etcdserverpb::LeaseKeepAliveRequest, etcdserverpb::LeaseLeasesRequest,
                             etcdserverpb::HashKVRequest, etcdserverpb::AlarmRequest>;

class RequestGenerator {
 public:
  explicit RequestGenerator(uint64_t seed) : random_(seed) {}

  Request Next();
  etcdserverpb::WatchCreateRequest NextWatch();
  // A range that RangeStream serves.
  etcdserverpb::RangeRequest NextStreamRange();

  void LearnRevision(int64_t revision) { revision_ = revision; }
  void LearnCompacted(int64_t revision) { compacted_ = revision; }
  int64_t Draw(int64_t low, int64_t high) {  // both included
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  bool Chance(int percent) { return Draw(1, 100) <= percent; }

 private:
  std::string Key();
  std::string Value();
  int64_t Lease();
  int64_t AnyRevision();
  template <typename Message>
  void KeyAndEnd(Message* message, int range_percent);

  etcdserverpb::RangeRequest Range();
  etcdserverpb::PutRequest Put();
  etcdserverpb::DeleteRangeRequest Delete();
  etcdserverpb::Compare Compare();
  void FillOp(etcdserverpb::RequestOp* op, int depth);
  etcdserverpb::TxnRequest Txn(int depth);
  etcdserverpb::TxnRequest KubernetesTxn();
  etcdserverpb::CompactionRequest Compaction();

  std::mt19937_64 random_;
  int64_t revision_ = 1;
  int64_t compacted_ = -1;
};

}  // namespace tidemark::differential
