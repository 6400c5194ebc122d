// What the simulated clients did and saw, for the checkers.
//
// An operation without an answer has `returned` at infinity: it may have happened at any time after
// the call, or never.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "proto/rpc.pb.h"

namespace tidemark::sim {

using ClientRequest =
    std::variant<etcdserverpb::RangeRequest, etcdserverpb::PutRequest,
                 etcdserverpb::DeleteRangeRequest, etcdserverpb::TxnRequest,
                 etcdserverpb::CompactionRequest, etcdserverpb::LeaseGrantRequest,
                 etcdserverpb::LeaseRevokeRequest, etcdserverpb::LeaseKeepAliveRequest>;
using ClientResponse =
    std::variant<std::monostate, etcdserverpb::RangeResponse, etcdserverpb::PutResponse,
                 etcdserverpb::DeleteRangeResponse, etcdserverpb::TxnResponse,
                 etcdserverpb::LeaseKeepAliveResponse>;

struct Operation {
  int client = 0;
  absl::Duration called;
  absl::Duration returned = absl::InfiniteDuration();
  ClientRequest request;
  absl::Status status;
  int64_t revision = 0;  // of the answer's header
  ClientResponse response;

  bool answered() const { return returned != absl::InfiniteDuration(); }
  // Nothing can be concluded: no answer, or one that says so.
  bool unknown() const { return !answered() || absl::IsUnavailable(status); }
};

// What one watch delivered over its life (a resumed watch is a new one).
struct WatchHistory {
  etcdserverpb::WatchCreateRequest request;
  int64_t created_revision = -1;
  struct Item {
    bool progress = false;
    int64_t revision = 0;  // of the header
    std::vector<mvccpb::Event> events;
    int64_t compact_revision = 0;  // cancelled by compaction
  };
  std::vector<Item> items;
};

}  // namespace tidemark::sim
