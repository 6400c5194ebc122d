#include "bench/tidebench/workloads/read_back.h"

#include <algorithm>
#include <string>

#include "bench/tidebench/op.h"
#include "bench/tidebench/small_random.h"
#include "bench/tidebench/workloads/answers.h"
#include "bench/tidebench/workloads/dataset_workload.h"
#include "bench/tidebench/workloads/methods.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {
namespace {

constexpr int64_t kReaders = 16;
constexpr int64_t kMostKeys = 1000;  // of a dataset
constexpr int64_t kLeastKeys = 16;
constexpr int64_t kMostBytes = 64 << 20;

}  // namespace

class ReadBackOp : public UnaryOp<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse> {
 public:
  ReadBackOp(Connection& connection, ReadBack* keys)
      : UnaryOp(connection, kRangeMethod), keys_(keys) {}

 private:
  bool Prepare(etcdserverpb::RangeRequest* request) override {
    if (keys_->next_ == keys_->keys_.size()) return false;
    key_ = keys_->keys_[keys_->next_++];
    key_.dataset->KeyOf(key_.index, request->mutable_key());
    return true;
  }

  absl::Status Check(const etcdserverpb::RangeResponse& response) override {
    const int64_t known_revision = key_.dataset->entry(key_.index).mod_revision;
    const int kvs = known_revision > 0 ? 1 : 0;
    const bool is_right = response.kvs_size() == kvs && response.count() == kvs &&
                          response.header().revision() >= key_.dataset->newest_revision() &&
                          (kvs == 0 || IsNewest(key_.dataset, key_.index, response.kvs(0)));
    return is_right ? absl::OkStatus()
                    : WrongFor(request()->key(), known_revision, Brief(response));
  }

  ReadBack* const keys_;
  ReadBack::Key key_;
};

void ReadBack::Choose(Dataset* dataset) {
  const auto used = static_cast<int64_t>(dataset->entries().size());
  const int64_t value_bytes = std::max<int64_t>(dataset->value_bytes(), 1);
  const int64_t count = std::min(used, std::clamp(kMostBytes / value_bytes, kLeastKeys, kMostKeys));
  // One out of each of as many parts: a fixed distance could be that of one client's keys.
  SmallRandom random(seed_);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = used * i / count;
    const int64_t end = used * (i + 1) / count;
    keys_.push_back({dataset, begin + random.Below(end - begin)});
  }
}

std::unique_ptr<Activity> ReadBack::Make(Client& client) {
  for (Dataset* dataset : datasets_) Choose(dataset);
  if (keys_.empty()) return nullptr;
  return MakeLoad(client, {.name = "read back", .count = kReaders, .connections = client.size()},
                  [this](Connection& connection, int64_t) {
                    return std::make_unique<ReadBackOp>(connection, this);
                  });
}

}  // namespace tidemark::bench
