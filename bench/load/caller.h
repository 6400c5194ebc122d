// One client of the load: it has one request outstanding, checks the answer, and sends the next.
//
// Hides the requests of each workload and what a right answer to them is. Bound to one thread.
// Invariant: a key belongs to one caller at a time, so its owner knows its mod_revision exactly and
// an update never loses a race.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>

#include "absl/status/status.h"

namespace tidemark::load {

enum class Workload {
  kPut,
  kGet,     // linearizable
  kUpdate,  // Txn: if mod_revision is as known then put else get, as kube-apiserver updates
};

// What one server stores: key i and the revision that last changed it.
class Dataset {
 public:
  static constexpr int64_t kValueBytes = 1024;

  explicit Dataset(int64_t keys) : mod_revisions_(keys, 0) {}
  absl::Status Fill(const std::shared_ptr<grpc::Channel>& channel);

  static std::string Key(int64_t index);
  static std::string Value(int64_t index);
  int64_t size() const { return static_cast<int64_t>(mod_revisions_.size()); }
  int64_t& mod_revision(int64_t index) { return mod_revisions_[index]; }

 private:
  std::vector<int64_t> mod_revisions_;
};

class Caller {
 public:
  virtual ~Caller() = default;
  // The queue yields `this` when the answer is there; then CheckAnswer once, then Send again.
  virtual void Send(grpc::CompletionQueue* queue) = 0;
  virtual absl::Status CheckAnswer() = 0;

  int64_t sent_at_ns = 0;  // for who sends
};

// Caller `number` of `callers` owns the keys whose index leaves that remainder.
struct Share {
  int64_t number = 0;
  int64_t callers = 1;
};
std::unique_ptr<Caller> MakeCaller(Workload workload, const std::shared_ptr<grpc::Channel>& channel,
                                   Dataset* dataset, Share share);

}  // namespace tidemark::load
