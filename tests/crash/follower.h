// A watcher that follows everything from revision 1, across crashes, resuming where it stopped, as
// kube-apiserver's cache does. It keeps what it saw, in the order seen.
//
// One thread of its own; events are read after Stop.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "proto/rpc.grpc.pb.h"

namespace tidemark::crash {

struct SeenEvent {
  int64_t revision = 0;
  std::string key;
  int64_t counter = 0;
  int64_t version = 0;
  int64_t prev_counter = 0;  // of prev_kv, 0 without one
};

class Follower {
 public:
  explicit Follower(std::shared_ptr<grpc::Channel> channel);
  ~Follower();
  // Waits until everything up to `revision` was seen or the time is over, then ends.
  bool StopAt(int64_t revision);
  const std::vector<SeenEvent>& events() const { return events_; }
  int64_t resumed() const { return resumed_; }

 private:
  void Loop();
  void FollowOnce();

  std::unique_ptr<etcdserverpb::Watch::Stub> stub_;
  std::vector<SeenEvent> events_;
  int64_t next_revision_ = 1;
  int64_t resumed_ = 0;
  std::atomic<int64_t> seen_revision_{0};
  std::atomic<bool> stopping_{false};
  absl::Mutex mutex_;
  grpc::ClientContext* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread thread_;
};

int64_t CounterOf(const std::string& value);

}  // namespace tidemark::crash
