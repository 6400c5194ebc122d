// A loop, a call and a router that tests drive by hand.
//
// One thread. FakeLoop runs tasks and timers when told; FakeCall remembers what was sent;
// FakeRouter remembers what was asked and answers when the test says so, or at once from
// `answer_ranges`.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/base/clock.h"
#include "src/base/random.h"
#include "src/partition/router.h"
#include "src/server/rpc.h"

namespace tidemark::server {

class FakeLoop : public Executor, public Clock {
 public:
  void Post(Task task) override { tasks_.push_back(std::move(task)); }
  TimerId PostAt(absl::Duration when, Task task) override {
    timers_.emplace(std::make_pair(when, ++last_timer_), std::move(task));
    return last_timer_;
  }
  void Cancel(TimerId id) override {
    for (auto it = timers_.begin(); it != timers_.end(); ++it) {
      if (it->first.second != id) continue;
      timers_.erase(it);
      return;
    }
  }
  bool IsCurrent() const override { return true; }
  absl::Duration Monotonic() const override { return now_; }
  absl::Time Wall() const override { return absl::UnixEpoch() + now_; }

  void RunTasks() {
    while (!tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  // Moves time on, running timers in order.
  void Advance(absl::Duration by) {
    absl::Duration end = now_ + by;
    RunTasks();
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      auto node = timers_.extract(timers_.begin());
      now_ = std::max(now_, node.key().first);
      node.mapped()();
      RunTasks();
    }
    now_ = end;
  }
  size_t timer_count() const { return timers_.size(); }

 private:
  std::map<std::pair<absl::Duration, TimerId>, Task> timers_;
  std::deque<Task> tasks_;  // what they hold may have timers
  TimerId last_timer_ = 0;
  absl::Duration now_ = absl::Seconds(1000);
};

class FixedRandom : public Random {
 public:
  uint64_t Next() override { return 0; }
};

class FakeCall : public ServerCall {
 public:
  FakeCall(FakeLoop& loop, std::string method) : loop_(loop), method_(std::move(method)) {}
  ~FakeCall() override { loop_.Cancel(limit_timer_); }

  const std::string& method() const override { return method_; }
  const Metadata& metadata() const override { return metadata_; }
  const Peer& peer() const override { return peer_; }
  absl::Duration deadline() const override { return absl::InfiniteDuration(); }
  Executor& loop() override { return loop_; }
  void Send(OutgoingMessage&& message) override {
    std::string bytes = message.begin.Flatten();
    while (message.rest != nullptr && message.rest->size_bytes() > 0) {
      bytes += message.rest->Next().Flatten();
    }
    sent.push_back(std::move(bytes));
  }
  void Finish(absl::Status status) override {
    CHECK(!finished);
    finished = true;
    this->status = std::move(status);
  }
  std::shared_ptr<const std::atomic<bool>> cancelled() const override { return cancelled_; }
  size_t unsent_bytes() const override { return unsent; }
  void NotifyWhenTaken() override { notifies_when_taken = true; }
  void SetTimeLimit(absl::Duration when) override {
    loop_.Cancel(std::exchange(limit_timer_, 0));
    if (when == absl::InfiniteDuration()) return;
    limit_timer_ = loop_.PostAt(when, [this] {
      if (const auto told = handler.lock()) told->OnTimeLimit();
    });
  }

  Metadata& mutable_metadata() { return metadata_; }

  std::vector<std::string> sent;
  bool finished = false;
  absl::Status status;
  size_t unsent = 0;
  bool notifies_when_taken = false;
  std::weak_ptr<CallHandler> handler;

 private:
  FakeLoop& loop_;
  TimerId limit_timer_ = 0;
  const std::string method_;
  Metadata metadata_;
  Peer peer_;
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

class FakeWatchStream : public partition::WatchStream {
 public:
  struct Log {
    std::vector<etcdserverpb::WatchCreateRequest> creates;
    std::vector<int64_t> cancels;
    int progress_requests = 0;
    int progress_ticks = 0;
    size_t consumed = 0;
    partition::WatchOutput* output = nullptr;
    bool open = true;
    bool takes_requests = true;
  };
  explicit FakeWatchStream(Log& log) : log_(log) {}
  ~FakeWatchStream() override { log_.open = false; }
  bool Create(const etcdserverpb::WatchCreateRequest& request) override {
    if (!log_.takes_requests) return false;
    log_.creates.push_back(request);
    return true;
  }
  bool Cancel(int64_t watch_id) override {
    if (log_.takes_requests) log_.cancels.push_back(watch_id);
    return log_.takes_requests;
  }
  bool RequestProgress() override {
    if (log_.takes_requests) ++log_.progress_requests;
    return log_.takes_requests;
  }
  void NotifyProgress() override { ++log_.progress_ticks; }
  void Consumed(size_t bytes) override { log_.consumed += bytes; }
  int64_t watch_count() const override { return static_cast<int64_t>(log_.creates.size()); }

 private:
  Log& log_;
};

class FakeRouter : public partition::Router {
 public:
  template <typename Result>
  using Done = partition::ReplyCallback<Result>;
  using Nothing = partition::Nothing;

  void Range(partition::CallContext context, etcdserverpb::RangeRequest request,
             Done<kvstore::RangeResult> done) override {
    ranges.push_back(request);
    range_contexts.push_back(std::move(context));
    if (answer_range) return done(answer_range(request));
    range_done.push_back(std::move(done));
  }
  // The answer of Range, without its count.
  void RangePage(partition::CallContext context, etcdserverpb::RangeRequest request,
                 Done<kvstore::RangeResult> done) override {
    ++uncounted_ranges;
    Range(std::move(context), std::move(request),
          [done = std::move(done)](
              absl::StatusOr<kvstore::Reply<kvstore::RangeResult>> reply) mutable {
            if (reply.ok()) reply->result.count = 0;
            done(std::move(reply));
          });
  }
  void Put(partition::CallContext context, etcdserverpb::PutRequest request,
           Done<kvstore::PutResult> done) override {
    puts.push_back(std::move(request));
    put_sizes.push_back(context.request_size_bytes);
    put_done.push_back(std::move(done));
  }
  void DeleteRange(partition::CallContext, etcdserverpb::DeleteRangeRequest,
                   Done<kvstore::DeleteResult> done) override {
    done(kvstore::Reply<kvstore::DeleteResult>{revision, {}});
  }
  void Txn(partition::CallContext, etcdserverpb::TxnRequest,
           Done<kvstore::TxnResult> done) override {
    done(kvstore::Reply<kvstore::TxnResult>{revision, {}});
  }
  void Compact(partition::CallContext, etcdserverpb::CompactionRequest,
               Done<Nothing> done) override {
    nothing_done.push_back(std::move(done));
  }
  std::unique_ptr<partition::WatchStream> OpenWatch(Executor&,
                                                    partition::WatchOutput& output) override {
    watch.output = &output;
    return std::make_unique<FakeWatchStream>(watch);
  }
  void LeaseGrant(int64_t id, int64_t ttl_seconds, Done<partition::LeaseGranted> done) override {
    done(kvstore::Reply<partition::LeaseGranted>{revision, {LeaseId(id), ttl_seconds}});
  }
  void LeaseRevoke(LeaseId, Done<Nothing> done) override {
    nothing_done.push_back(std::move(done));
  }
  void LeaseKeepAlive(LeaseId id, Done<partition::LeaseRemaining> done) override {
    keep_alives.emplace_back(id, std::move(done));
  }
  void LeaseTimeToLive(LeaseId id, bool, Done<partition::LeaseLife> done) override {
    done(kvstore::Reply<partition::LeaseLife>{revision, {id, -1, 0, {}}});
  }
  void LeaseLeases(Done<std::vector<LeaseId>> done) override {
    done(kvstore::Reply<std::vector<LeaseId>>{revision, {LeaseId(3), LeaseId(-4)}});
  }
  void Alarm(etcdserverpb::AlarmRequest, Done<std::vector<partition::AlarmEntry>> done) override {
    done(kvstore::Reply<std::vector<partition::AlarmEntry>>{revision, status.alarms});
  }
  void HashKv(Revision at, Done<partition::HashKvResult> done) override {
    done(kvstore::Reply<partition::HashKvResult>{revision, {77, Revision(-1), at}});
  }
  void Defragment(Done<Nothing> done) override { nothing_done.push_back(std::move(done)); }
  void Barrier(Done<Nothing> done) override { nothing_done.push_back(std::move(done)); }
  partition::NodeStatus Status() const override { return status; }

  Revision revision{42};
  partition::NodeStatus status;
  std::function<absl::StatusOr<kvstore::Reply<kvstore::RangeResult>>(
      const etcdserverpb::RangeRequest&)>
      answer_range;

  std::vector<etcdserverpb::RangeRequest> ranges;
  std::vector<partition::CallContext> range_contexts;
  size_t uncounted_ranges = 0;  // of them
  std::vector<Done<kvstore::RangeResult>> range_done;
  std::vector<etcdserverpb::PutRequest> puts;
  std::vector<size_t> put_sizes;
  std::vector<Done<kvstore::PutResult>> put_done;
  std::vector<Done<Nothing>> nothing_done;
  std::vector<std::pair<LeaseId, Done<partition::LeaseRemaining>>> keep_alives;
  FakeWatchStream::Log watch;
};

}  // namespace tidemark::server
