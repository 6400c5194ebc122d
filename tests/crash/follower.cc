#include "tests/crash/follower.h"

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace tidemark::crash {

int64_t CounterOf(const std::string& value) {
  int64_t counter = -1;
  if (!absl::SimpleAtoi(value.substr(0, value.find(' ')), &counter)) return -1;
  return counter;
}

Follower::Follower(std::shared_ptr<grpc::Channel> channel)
    : stub_(etcdserverpb::Watch::NewStub(channel)), thread_([this] { Loop(); }) {}

Follower::~Follower() { StopAt(0); }

bool Follower::StopAt(int64_t revision) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (seen_revision_ < revision && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  stopping_ = true;
  {
    absl::MutexLock lock(&mutex_);
    if (running_ != nullptr) running_->TryCancel();
  }
  if (thread_.joinable()) thread_.join();
  return seen_revision_ >= revision;
}

void Follower::Loop() {
  while (!stopping_) FollowOnce();
}

void Follower::FollowOnce() {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  {
    absl::MutexLock lock(&mutex_);
    running_ = &context;
  }
  auto stream = stub_->Watch(&context);
  etcdserverpb::WatchRequest request;
  etcdserverpb::WatchCreateRequest* create = request.mutable_create_request();
  create->set_key(std::string(1, '\0'));
  create->set_range_end(std::string(1, '\0'));
  create->set_start_revision(next_revision_);
  create->set_prev_kv(true);
  stream->Write(request);
  etcdserverpb::WatchResponse response;
  while (!stopping_ && stream->Read(&response)) {
    for (const mvccpb::Event& event : response.events()) {
      SeenEvent seen;
      seen.revision = event.kv().mod_revision();
      seen.key = event.kv().key();
      seen.version = event.kv().version();
      seen.counter = CounterOf(event.kv().value());
      seen.prev_counter = event.has_prev_kv() ? CounterOf(event.prev_kv().value()) : 0;
      events_.push_back(seen);
    }
    // A response holds whole revisions, so the next one is the first not seen.
    if (!response.events().empty()) {
      next_revision_ = events_.back().revision + 1;
      seen_revision_ = events_.back().revision;
    }
  }
  context.TryCancel();
  stream->Finish();
  ++resumed_;
  absl::MutexLock lock(&mutex_);
  running_ = nullptr;
}

}  // namespace tidemark::crash
