// What a store does when memory is short: its budget, or the tmpfs.
#include <optional>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "src/base/memory_budget.h"
#include "src/partition/store_for_test.h"

namespace tidemark::partition {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kMiB = 1 << 20;
constexpr char kNoSpaceText[] = "etcdserver: mvcc: database space exceeded";
constexpr char kTooManyText[] = "etcdserver: too many requests";
const AlarmEntry kNoSpace{1, etcdserverpb::NOSPACE};

LocalStoreOptions Options() {
  LocalStoreOptions options;
  options.quota_bytes = -1;
  return options;
}

class MemoryTest : public ::testing::Test {
 protected:
  void Start(int64_t budget_bytes) {
    budget_ = std::make_unique<MemoryBudget>(budget_bytes);
    store_ = std::make_unique<StoreForTest>(Options());
    store_->budget = budget_.get();
    ASSERT_TRUE(store_->Start().ok());
  }
  void TearDown() override {
    answers_.clear();
    if (store_ == nullptr) return;
    store_->world().RunFor(absl::Milliseconds(10));
    store_.reset();
    if (budget_ == nullptr) return;
    for (const MemoryAccount account : kMemoryAccounts) {
      EXPECT_EQ(budget_->used_bytes(account), 0) << NameOf(account) << " was not given back";
    }
  }
  // `count` keys below `prefix`, by transactions.
  void Fill(const std::string& prefix, int count, size_t value_bytes = 10) {
    for (int i = 0; i < count;) {
      etcdserverpb::TxnRequest txn;
      for (int n = 0; n < 100 && i < count; ++n, ++i) {
        auto* put = txn.add_success()->mutable_request_put();
        put->set_key(absl::StrCat(prefix, 100000 + i));
        put->set_value(std::string(value_bytes, 'v'));
      }
      ASSERT_TRUE(store_->Txn(txn).ok());
    }
  }
  static etcdserverpb::RangeRequest ListOf(const std::string& prefix) {
    etcdserverpb::RangeRequest request;
    request.set_key(prefix);
    request.set_range_end(prefix.substr(0, prefix.size() - 1) +
                          static_cast<char>(prefix.back() + 1));
    return request;
  }
  using Answer = absl::StatusOr<kvstore::Reply<kvstore::RangeResult>>;
  // The answer is held until it is dropped here: a reader that takes its time.
  std::shared_ptr<std::optional<Answer>> Read(const etcdserverpb::RangeRequest& request) {
    auto answer = std::make_shared<std::optional<Answer>>();
    store_->router().Range({}, request, [answer](Answer reply) { *answer = std::move(reply); });
    answers_.push_back(answer);
    return answer;
  }
  int CountAnswered() const {
    int answered = 0;
    for (const auto& answer : answers_) answered += answer->has_value();
    return answered;
  }
  int64_t used(MemoryAccount account) const { return budget_->used_bytes(account); }

  std::unique_ptr<MemoryBudget> budget_;
  std::unique_ptr<StoreForTest> store_;
  std::vector<std::shared_ptr<std::optional<Answer>>> answers_;
};

TEST_F(MemoryTest, DataStopsAtItsShareOfTheBudgetAndRecoversByItself) {
  Start(10 * kMiB);
  const std::string big(10000, 'x');
  absl::Status refused;
  for (int i = 0; i < 2000 && refused.ok(); ++i) {
    refused = store_->Put("/registry/pods/k", big).status();
  }
  EXPECT_EQ(refused.message(), kNoSpaceText);
  EXPECT_THAT(store_->router().Status().alarms, ElementsAre(kNoSpace));
  EXPECT_GT(budget_->refusals(MemoryAccount::kValues), 0);
  EXPECT_GE(budget_->free_bytes(MemoryAccount::kValues), 0);
  EXPECT_GT(used(MemoryAccount::kValues), 7 * kMiB);
  EXPECT_GT(used(MemoryAccount::kIndex), 0);
  // Everything that does not add data goes on.
  etcdserverpb::DeleteRangeRequest erase;
  erase.set_key("/registry/pods/k");
  EXPECT_TRUE(store_->DeleteRange(erase).ok());
  EXPECT_TRUE(store_->Range("/registry/pods/k", "").ok());
  ASSERT_TRUE(store_->Compact(store_->router().Status().revision.value(), true).ok());
  store_->world().RunFor(absl::Seconds(2));
  EXPECT_THAT(store_->router().Status().alarms, IsEmpty());
  EXPECT_TRUE(store_->Put("/registry/pods/k", big).ok());
}

// The one entry that deletes everything has an event for each key, with what it was.
TEST_F(MemoryTest, DeletingEverythingMakesSpace) {
  Start(10 * kMiB);
  const std::string big(10000, 'x');
  absl::Status refused;
  for (int i = 0; i < 2000 && refused.ok(); ++i) {
    refused = store_->Put(absl::StrCat("/registry/pods/", i), big).status();
  }
  EXPECT_EQ(refused.message(), kNoSpaceText);
  etcdserverpb::DeleteRangeRequest erase;
  erase.set_key("/registry/pods/");
  erase.set_range_end("/registry/pods0");
  EXPECT_TRUE(store_->DeleteRange(erase).ok());
  ASSERT_TRUE(store_->Compact(store_->router().Status().revision.value(), true).ok());
  EXPECT_EQ(used(MemoryAccount::kPinned), 0);
  store_->world().RunFor(absl::Seconds(2));
  EXPECT_THAT(store_->router().Status().alarms, IsEmpty());
}

// Whoever makes room and starts the node again need not do more.
TEST_F(MemoryTest, TheNodesOwnAlarmGoesAlsoAfterARestart) {
  LocalStoreOptions options = Options();
  options.quota_bytes = 100000;
  store_ = std::make_unique<StoreForTest>(options);
  ASSERT_TRUE(store_->Start().ok());
  absl::Status refused;
  for (int i = 0; i < 100 && refused.ok(); ++i) {
    refused = store_->Put("/registry/pods/k", std::string(2000, 'x')).status();
  }
  EXPECT_EQ(refused.message(), kNoSpaceText);
  store_->world().RunFor(absl::Seconds(3));
  EXPECT_THAT(store_->router().Status().alarms, ElementsAre(kNoSpace));
  const auto listed = store_->Alarm(etcdserverpb::AlarmRequest::GET, 0, etcdserverpb::NONE);
  EXPECT_THAT(listed->result, ElementsAre(kNoSpace));
  options.quota_bytes = 1000000;
  ASSERT_TRUE(store_->Restart(options).ok());
  EXPECT_THAT(store_->router().Status().alarms, ElementsAre(kNoSpace));
  store_->world().RunFor(absl::Seconds(3));
  EXPECT_THAT(store_->router().Status().alarms, IsEmpty());
  // What a client takes away is gone with its origin; what a client raises stays.
  using etcdserverpb::AlarmRequest;
  ASSERT_TRUE(store_->Alarm(AlarmRequest::ACTIVATE, 1, etcdserverpb::NOSPACE).ok());
  ASSERT_TRUE(store_->Restart(options).ok());
  store_->world().RunFor(absl::Seconds(3));
  EXPECT_THAT(store_->router().Status().alarms, ElementsAre(kNoSpace));
}

// What a reader holds is not counted as data, but the tmpfs is as full as it is.
TEST_F(MemoryTest, SpaceComesBackWhenAReaderLetsGo) {
  store_ = std::make_unique<StoreForTest>(Options());
  budget_ = std::make_unique<MemoryBudget>(1000 * kMiB);
  store_->budget = budget_.get();
  store_->memory().SetCapacityBytes(8 * kMiB);
  ASSERT_TRUE(store_->Start().ok());
  const std::string big(20000, 'x');
  // One reference into each segment of many.
  std::vector<SharedBytes> held;
  absl::Status refused;
  for (int i = 0; i < 2000 && refused.ok(); ++i) {
    refused = store_->Put("/registry/pods/k", big).status();
    if (!refused.ok()) break;
    auto read = store_->Range("/registry/pods/k", "");
    held.push_back(read->result.items.front().wire);
  }
  EXPECT_EQ(refused.message(), kNoSpaceText);
  ASSERT_TRUE(store_->Compact(store_->router().Status().revision.value(), true).ok());
  store_->world().RunFor(absl::Seconds(5));
  EXPECT_THAT(store_->router().Status().alarms, ElementsAre(kNoSpace));
  EXPECT_GT(used(MemoryAccount::kPinned), 4 * kMiB);
  held.clear();
  EXPECT_EQ(used(MemoryAccount::kPinned), 0);
  store_->world().RunFor(absl::Seconds(2));
  EXPECT_THAT(store_->router().Status().alarms, IsEmpty());
}

// Below the headroom data is refused and deletes are not; where deletes come to the end of memory
// they are refused as well. A segment that cannot be mapped would be Fatal.
TEST_F(MemoryTest, DeletesUseTheHeadroomAndThenAreRefused) {
  Start(1000 * kMiB);
  Fill("/registry/pods/", 5000);
  store_->memory().SetCapacityBytes(store_->memory().used_bytes() + 64 * kMiB / 32 +
                                    2 * (64 << 10) * store_->store().map().size());
  const std::string big(100000, 'x');
  for (int i = 0; i < 1000 && store_->Put("/registry/pods/big", big).ok(); ++i) {
  }
  EXPECT_EQ(store_->Put("a", "b").status().message(), kNoSpaceText);
  int deleted = 0;
  absl::Status refused;
  etcdserverpb::DeleteRangeRequest erase;
  for (int i = 0; i < 5000 && refused.ok(); ++i, deleted += refused.ok()) {
    erase.set_key(absl::StrCat("/registry/pods/", 100000 + i));
    refused = store_->DeleteRange(erase).status();
  }
  EXPECT_GT(deleted, 1000);
  // Outsiders take the rest.
  store_->memory().SetCapacityBytes(store_->memory().used_bytes() + (100 << 10));
  erase.set_key("/registry/pods/104999");
  EXPECT_EQ(store_->DeleteRange(erase).status().message(), kNoSpaceText);
  ASSERT_TRUE(store_->Grant(1, 1000).status().message() == kNoSpaceText);
  EXPECT_TRUE(store_->Range("/registry/pods/104999", "").ok());
  ASSERT_TRUE(store_->Compact(store_->router().Status().revision.value(), true).ok());
}

TEST_F(MemoryTest, WhatAnAnswerHoldsIsCountedUntilItIsDropped) {
  Start(1000 * kMiB);
  Fill("/registry/pods/", 3000);
  const int64_t before = used(MemoryAccount::kReads);
  auto answer = Read(ListOf("/registry/pods/"));
  store_->world().RunFor(absl::Seconds(1));
  ASSERT_TRUE(answer->has_value() && (*answer)->ok());
  EXPECT_GT(used(MemoryAccount::kReads) - before, 3000 * 100);
  EXPECT_LT(used(MemoryAccount::kReads) - before, 3000 * 500);
  // Over partitions as well.
  auto all = Read(ListOf("/registry/"));
  store_->world().RunFor(absl::Seconds(1));
  ASSERT_TRUE(all->has_value() && (*all)->ok());
  EXPECT_GT(used(MemoryAccount::kReads) - before, 2 * 3000 * 100);
  answer->reset();
  all->reset();
  EXPECT_EQ(used(MemoryAccount::kReads), before);
}

// A share of 1 MiB, lists of 800 KiB.
TEST_F(MemoryTest, ReadsWaitForMemoryAndAreRefusedAfterAWhile) {
  Start(10 * kMiB);
  Fill("/registry/pods/", 2800);
  auto first = Read(ListOf("/registry/pods/"));
  store_->world().RunFor(absl::Milliseconds(500));
  ASSERT_TRUE(first->has_value() && (*first)->ok());
  auto second = Read(ListOf("/registry/pods/"));
  auto third = Read(ListOf("/registry/pods/"));
  store_->world().RunFor(absl::Milliseconds(500));
  EXPECT_FALSE(second->has_value() || third->has_value());
  first->reset();
  store_->world().RunFor(absl::Milliseconds(500));
  ASSERT_TRUE(second->has_value() != third->has_value()) << "one of them has room now";
  EXPECT_TRUE((second->has_value() ? **second : **third).ok());
  store_->world().RunFor(absl::Milliseconds(1100));
  ASSERT_TRUE(second->has_value() && third->has_value());
  EXPECT_EQ(((*second)->ok() ? **third : **second).status().message(), kTooManyText);
  EXPECT_EQ(budget_->refusals(MemoryAccount::kReads), 1);
}

TEST_F(MemoryTest, ManyReadersAtOnceStayInsideTheShare) {
  Start(10 * kMiB);
  Fill("/registry/pods/", 1500);
  for (int i = 0; i < 300; ++i) Read(ListOf("/registry/pods/"));
  int64_t most = 0;
  const absl::Duration end = store_->world().clock().Monotonic() + absl::Seconds(3);
  while (CountAnswered() < 300 && store_->world().clock().Monotonic() < end) {
    store_->world().RunFor(absl::Microseconds(200));
    most = std::max(most, used(MemoryAccount::kReads));
  }
  int served = 0;
  for (const auto& answer : answers_) {
    ASSERT_TRUE(answer->has_value());
    if ((*answer)->ok()) {
      ++served;
    } else {
      EXPECT_EQ((*answer)->status().message(), kTooManyText);
    }
  }
  EXPECT_EQ(served, 2);  // of some 400 KiB
  EXPECT_LE(most, budget_->share_bytes(MemoryAccount::kReads));
  // Small reads are served all the same, and writes.
  EXPECT_TRUE(store_->Range("/registry/pods/100000", "").ok());
  EXPECT_EQ(store_->Range("/registry/pods/10000", "/registry/pods/10001")->result.items.size(),
            10u);
  EXPECT_TRUE(store_->Put("a", "b").ok());
  MemoryCharge others(*budget_, MemoryAccount::kReads);
  others.Set(kMiB);
  etcdserverpb::RangeRequest few = ListOf("/registry/pods/");
  few.set_limit(64);
  EXPECT_EQ(store_->Range(few)->result.items.size(), 64u);
  others.Set(0);
  etcdserverpb::TxnRequest txn;
  *txn.add_success()->mutable_request_range() = ListOf("/registry/pods/10000");
  EXPECT_TRUE(store_->Txn(txn).ok());
  *txn.add_success()->mutable_request_range() = ListOf("/registry/pods/");
  EXPECT_EQ(store_->Txn(txn).status().message(), kTooManyText);
  answers_.clear();
  EXPECT_TRUE(store_->Txn(txn).ok());
}

TEST_F(MemoryTest, ReadersThatGoAwayStopWaiting) {
  Start(10 * kMiB);
  Fill("/registry/pods/", 2800);
  auto first = Read(ListOf("/registry/pods/"));
  store_->world().RunFor(absl::Milliseconds(100));
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  std::optional<Answer> answer;
  CallContext context;
  context.cancelled = cancelled;
  store_->router().Range(context, ListOf("/registry/pods/"),
                         [&answer](Answer reply) { answer = std::move(reply); });
  store_->world().RunFor(absl::Milliseconds(100));
  EXPECT_FALSE(answer.has_value());
  *cancelled = true;
  store_->world().RunFor(absl::Milliseconds(20));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(budget_->refusals(MemoryAccount::kReads), 0);
}

class WatchMemoryTest : public MemoryTest {
 protected:
  void TearDown() override {
    streams_.clear();
    MemoryTest::TearDown();
  }
  struct Stream {
    RecordingOutput output;
    std::unique_ptr<WatchStream> stream;
  };
  Stream& Open(const std::string& key) {
    auto& stream = streams_.emplace_back(std::make_unique<Stream>());
    stream->stream = store_->router().OpenWatch(store_->client(), stream->output);
    Create(*stream, key);
    return *stream;
  }
  void Create(Stream& stream, const std::string& key) {
    etcdserverpb::WatchCreateRequest request;
    request.set_key(key);
    request.set_range_end(ListOf(key).range_end());
    stream.stream->Create(request);
  }
  void Consume(Stream& stream) {
    if (stream.output.unconsumed_bytes == 0) return;
    stream.stream->Consumed(std::exchange(stream.output.unconsumed_bytes, 0));
  }

  std::vector<std::unique_ptr<Stream>> streams_;
};

// A share of 2 MiB: streams that nobody reads hold little each, the one that is read goes on.
TEST_F(WatchMemoryTest, SlowStreamsShareTheBudgetAndHoldUpNobody) {
  Start(40 * kMiB);
  for (int i = 0; i < 200; ++i) Open("/registry/pods/");
  Stream& fast = Open("/registry/pods/");
  Stream& merged = Open("/registry/");
  store_->world().RunFor(absl::Seconds(1));
  ASSERT_THAT(fast.output.LinesWith("created"), ElementsAre("created 0 at 1"));
  int64_t most = 0;
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE(store_->Put(absl::StrCat("/registry/pods/", i), std::string(5000, 'v')).ok());
    store_->world().RunFor(absl::Milliseconds(3));
    Consume(fast);
    Consume(merged);
    most = std::max(most, used(MemoryAccount::kWatches));
  }
  store_->world().RunFor(absl::Seconds(1));
  EXPECT_EQ(fast.output.LinesWith("event").size(), 400u);
  EXPECT_EQ(merged.output.LinesWith("event").size(), 400u);
  EXPECT_LE(most, budget_->share_bytes(MemoryAccount::kWatches) * 5 / 4);
  // They are behind, not lost: each gets all, in order, once it reads.
  for (size_t i = 0; i < 200; i += 50) {
    Stream& slow = *streams_[i];
    EXPECT_LT(slow.output.LinesWith("event").size(), 50u);
    for (int round = 0; round < 400; ++round) {
      Consume(slow);
      store_->world().RunFor(absl::Milliseconds(10));
    }
    EXPECT_EQ(slow.output.LinesWith("event").size(), 400u);
  }
}

TEST_F(WatchMemoryTest, ASlowStreamThatCompactionOvertookIsCancelled) {
  Start(40 * kMiB);
  Stream& slow = Open("/registry/pods/");
  store_->world().RunFor(absl::Seconds(1));
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(store_->Put("/registry/pods/k", std::string(20000, 'v')).ok());
  }
  const int64_t last = store_->router().Status().revision.value();
  ASSERT_TRUE(store_->Compact(last, true).ok());
  store_->world().RunFor(absl::Seconds(1));
  EXPECT_THAT(slow.output.LinesWith("compacted"), IsEmpty());
  Consume(slow);
  store_->world().RunFor(absl::Seconds(1));
  EXPECT_THAT(slow.output.LinesWith("compacted"), ElementsAre(absl::StrCat("compacted 0 ", last)));
}

TEST_F(WatchMemoryTest, WatchersBeyondTheShareAreRefused) {
  Start(2 * kMiB);  // 100 KiB for watches
  Stream& stream = Open("/registry/pods/");
  for (int i = 0; i < 100; ++i) Create(stream, "/registry/pods/");
  store_->world().RunFor(absl::Seconds(1));
  const size_t created = stream.output.LinesWith("created").size();
  EXPECT_GT(created, 50u);
  EXPECT_LT(created, 80u);
  EXPECT_EQ(stream.output.LinesWith(absl::StrCat("refused ", kTooManyText)).size(), 101 - created);
  EXPECT_EQ(budget_->refusals(MemoryAccount::kWatches), static_cast<int64_t>(101 - created));
  for (int id = 0; id < 10; ++id) stream.stream->Cancel(id);
  store_->world().RunFor(absl::Seconds(1));
  Create(stream, "/registry/pods/");
  store_->world().RunFor(absl::Seconds(1));
  EXPECT_EQ(stream.output.LinesWith("created").size(), created + 1);
}

}  // namespace
}  // namespace tidemark::partition
