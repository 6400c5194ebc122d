// A client that writes a counter into its own keys for as long as the test runs, across crashes of
// the server, and remembers what was acknowledged.
//
// Each writer has one thread of its own; its records are read after Join.
// Invariant: at most one write is in flight, so an unknown outcome concerns one counter only and is
// settled by reading before the next write.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/channel.h>

#include "proto/rpc.grpc.pb.h"

namespace tidemark::crash {

// One acknowledged change: all keys of the writer were set to `counter` at `revision`.
struct Acknowledged {
  int64_t counter = 0;
  int64_t revision = 0;  // 0: learned by reading after an unknown outcome
};

enum class WriteKind {
  kPut,        // one key, plain put
  kUpdateTxn,  // one key, compare on mod_revision, as kube-apiserver updates
  kAcrossTxn,  // two keys of different partitions in one txn
  kLeasedPut,  // one key, attached to a lease granted at the start
};

class Writer {
 public:
  Writer(std::shared_ptr<grpc::Channel> channel, WriteKind kind, std::vector<std::string> keys);
  ~Writer();
  void Stop();  // ends after the write in flight is settled, or cannot be

  const std::vector<std::string>& keys() const { return keys_; }
  const std::vector<Acknowledged>& acknowledged() const { return acknowledged_; }
  int64_t acknowledged_count() const { return acknowledged_count_.load(); }
  // First violation seen by the writer itself; empty if none.
  const std::string& violation() const { return violation_; }

 private:
  void Loop();
  bool WriteOnce();
  // Reads what was stored; false when the server does not answer.
  bool Settle();
  grpc::Status Send(int64_t counter, int64_t* revision, bool* applied);
  grpc::Status EnsureLease();
  void Violate(const std::string& what);

  std::unique_ptr<etcdserverpb::KV::Stub> kv_;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease_;
  const WriteKind kind_;
  const std::vector<std::string> keys_;
  int64_t lease_id_ = 0;
  int64_t counter_ = 0;       // last one known to be stored
  int64_t mod_revision_ = 0;  // of it
  bool unsettled_ = false;
  std::vector<Acknowledged> acknowledged_;
  std::atomic<int64_t> acknowledged_count_{0};
  std::string violation_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace tidemark::crash
