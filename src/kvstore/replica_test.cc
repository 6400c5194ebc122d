// The pipeline's order of events: what is confirmed, what waits, what a failed append leaves.
#include "src/kvstore/replica.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/etcd_errors.h"
#include "src/kvstore/range_reader.h"
#include "src/kvstore/replica_harness_for_test.h"

namespace tidemark::kvstore {
namespace {

class ReplicaTest : public testing::Test {
 protected:
  template <typename Result>
  Replica::Callback<Result> Note(std::string name) {
    return [this, name = std::move(name)](absl::StatusOr<Reply<Result>> reply) {
      log_ += name;
      log_ += reply.ok() ? absl::StrCat("=", reply->revision.value(), " ")
                         : absl::StrCat("!", reply.status().message(), " ");
    };
  }
  void Put(std::string name, const std::string& key, int64_t lease = 0) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value(name);
    request.set_lease(lease);
    h_.replica->Put(request, Note<PutResult>(name));
  }
  void Delete(std::string name, const std::string& key) {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(key);
    h_.replica->DeleteRange(request, Note<DeleteResult>(name));
  }
  void DeletePrefix(std::string name, const std::string& prefix) {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(prefix);
    request.set_range_end(prefix + "\xff");
    h_.replica->DeleteRange(request, Note<DeleteResult>(name));
  }
  // Create if absent.
  void Create(std::string name, const std::string& key) {
    etcdserverpb::TxnRequest request;
    request.add_compare()->set_key(key);
    request.mutable_compare(0)->set_target(etcdserverpb::Compare::MOD);
    request.add_success()->mutable_request_put()->set_key(key);
    request.add_failure()->mutable_request_range()->set_key(key);
    h_.replica->Txn(request, [this, name](absl::StatusOr<Reply<TxnResult>> reply) {
      ASSERT_TRUE(reply.ok());
      absl::StrAppend(&log_, name, reply->result.succeeded ? "+" : "-", reply->revision.value(),
                      " ");
    });
  }
  void Get(std::string name, const std::string& key) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    h_.replica->Range(request, {}, [this, name](absl::StatusOr<Reply<RangeResult>> reply) {
      ASSERT_TRUE(reply.ok());
      absl::StrAppend(&log_, name, ":", reply->result.count, "@", reply->revision.value(), " ");
    });
  }
  void Grant(int64_t lease) {
    EffectsWriter effects;
    effects.AddLeaseGrant({LeaseId(lease), 60});
    h_.AppendForeign(std::move(effects).Take(), false);
    h_.Settle();
  }
  // `*hold` is set once it is held.
  void HoldForRevoke(int64_t lease, HoldId* hold) {
    Scope scope;
    scope.revokes.push_back(LeaseId(lease));
    h_.replica->Hold(scope, [hold](HoldId id) { *hold = id; });
  }
  std::string TakeLog() { return std::exchange(log_, ""); }

  ReplicaHarness h_;
  std::string log_;
};

TEST_F(ReplicaTest, WritesArePipelinedAndAnsweredOnceApplied) {
  Put("a", "k");
  Put("b", "k");
  EXPECT_EQ(h_.journal.undelivered(), 2u);
  h_.executor.RunAll();
  EXPECT_EQ(TakeLog(), "");
  h_.Deliver(1);
  EXPECT_EQ(TakeLog(), "a=2 ");
  h_.Deliver(1);
  EXPECT_EQ(TakeLog(), "b=3 ");
}

TEST_F(ReplicaTest, DependentWaitsUntilItsKeyIsApplied) {
  Put("a", "k");
  Create("c", "k");
  Create("d", "other");
  EXPECT_EQ(h_.journal.undelivered(), 2u);  // a and d
  h_.Settle();
  EXPECT_EQ(TakeLog(), "a=2 d+3 c-3 ");
}

TEST_F(ReplicaTest, RefusalIsConfirmedAndJudgedAgain) {
  Put("p", "k", /*lease=*/5);
  EXPECT_EQ(TakeLog(), "");
  EXPECT_EQ(h_.journal.questions(), 1u);
  // Granted before the question is answered: the refusal would have been stale.
  Grant(5);
  EXPECT_EQ(TakeLog(), "p=2 ");
  Put("q", "k", /*lease=*/6);
  Delete("d", "nothing");
  h_.Settle();
  EXPECT_EQ(TakeLog(), "q!etcdserver: requested lease not found d=2 ");
}

TEST_F(ReplicaTest, ReadsWaitForATailConfirmedAfterTheyArrived) {
  Get("r1", "k");
  Put("a", "k");
  Get("r2", "k");  // must not be answered by r1's question
  EXPECT_EQ(h_.journal.questions(), 1u);
  h_.journal.AnswerQuestions();
  h_.executor.RunAll();
  EXPECT_EQ(h_.journal.questions(), 1u);
  EXPECT_EQ(TakeLog(), "");  // the tail's entry is not applied yet
  h_.Settle();
  EXPECT_EQ(TakeLog(), "a=2 r1:1@2 r2:1@2 ");
}

TEST_F(ReplicaTest, TooManyPendingWrites) {
  ReplicaOptions options;
  options.max_pending_writes = 2;
  ReplicaHarness small(options);
  etcdserverpb::PutRequest request;
  request.set_key("k");
  absl::Status third;
  for (int i = 0; i < 3; ++i) {
    small.replica->Put(request, [&](absl::StatusOr<Reply<PutResult>> reply) {
      if (!reply.ok()) third = reply.status();
    });
  }
  EXPECT_EQ(third, ErrTooManyRequests());
  small.Settle();
  EXPECT_EQ(small.replica->watermark().revision, Revision(3));
}

TEST_F(ReplicaTest, NoSpaceRefusesAndNumberingGoesOn) {
  Put("a", "k");
  h_.journal.FailNext(absl::ResourceExhaustedError("disk"));
  Put("b", "k");
  Put("c", "k");     // behind the hole: refused by the journal for b's reason
  Create("w", "k");  // waits for all of them
  h_.executor.RunAll();
  h_.journal.ReportFailures();
  h_.Settle();
  EXPECT_EQ(TakeLog(),
            "c!etcdserver: request timed out b!etcdserver: mvcc: database space exceeded "
            "a=2 w-2 ");
  Put("d", "k");
  h_.Settle();
  EXPECT_EQ(TakeLog(), "d=3 ");
  h_.replica->CheckInvariants();
}

TEST_F(ReplicaTest, AJournalThatHasTooMuchToDoRefusesAndServesOn) {
  Put("a", "k");
  h_.journal.FailNext(absl::DeadlineExceededError("too many appends are waiting"));
  Put("b", "k");
  h_.journal.ReportFailures();
  h_.Settle();
  EXPECT_EQ(TakeLog(), "b!etcdserver: too many requests a=2 ");
  Put("c", "k");
  h_.Settle();
  EXPECT_EQ(TakeLog(), "c=3 ");
  h_.replica->CheckInvariants();
}

TEST_F(ReplicaTest, AnAppendThatMayBeFoundLaterIsNotCalledRefused) {
  h_.journal.FailNext(absl::UnknownError("full, and not undone"));
  Put("a", "k");
  h_.journal.ReportFailures();
  h_.executor.RunAll();
  h_.journal.FailNext(absl::ResourceExhaustedError("full"));
  Put("b", "k");
  h_.journal.ReportFailures();
  h_.executor.RunAll();
  Put("c", "k");
  h_.Settle();
  EXPECT_EQ(TakeLog(),
            "a!etcdserver: request timed out b!etcdserver: mvcc: database space exceeded c=2 ");
  h_.replica->CheckInvariants();
}

TEST_F(ReplicaTest, AnAppendThatIsTooLargeIsNotTheNextOnesFault) {
  h_.journal.FailNext(absl::InvalidArgumentError("payload"));
  Put("a", "k");
  h_.journal.ReportFailures();
  Put("b", "j");  // behind the hole
  h_.executor.RunAll();
  Put("c", "j");
  h_.Settle();
  EXPECT_EQ(TakeLog(), "a!etcdserver: request is too large b!etcdserver: request timed out c=2 ");
  h_.replica->CheckInvariants();
}

TEST_F(ReplicaTest, AnEntryThatIsTooLargeTakesNoNumber) {
  for (int i = 0; i < 40; ++i) Put("", absl::StrCat("k", std::string(20, 'x'), i));
  h_.Settle();
  TakeLog();
  h_.journal.LimitPayloads(500);
  DeletePrefix("a", "k");  // its entry lists all the keys
  Put("b", "kx");          // what it would have touched is free again
  Put("c", "j");
  h_.journal.ReportFailures();  // there are none
  h_.Settle();
  EXPECT_EQ(TakeLog(), "a!etcdserver: request is too large b=42 c=43 ");
  h_.replica->CheckInvariants();
}

TEST_F(ReplicaTest, FencedReplicaWritesNothingMore) {
  h_.journal.FailNext(absl::FailedPreconditionError("epoch"));
  Put("a", "k");
  h_.journal.ReportFailures();
  h_.executor.RunAll();
  Put("b", "k");
  EXPECT_EQ(TakeLog(), "a!etcdserver: no leader b!etcdserver: no leader ");
  EXPECT_EQ(h_.journal.undelivered(), 0u);
}

TEST_F(ReplicaTest, StoppedJournalLeavesTheOutcomeOpen) {
  h_.journal.FailNext(absl::UnavailableError("stopping"));
  Put("a", "k");
  h_.journal.ReportFailures();
  h_.executor.RunAll();
  Put("b", "k");
  EXPECT_EQ(TakeLog(), "a!etcdserver: server stopped b!etcdserver: server stopped ");
}

TEST_F(ReplicaTest, RevokeHoldDrainsKeysOfTheLease) {
  Grant(5);
  Put("a", "k", 5);
  h_.Settle();
  Put("b", "k");  // detaches; on its way
  Put("c", "j", 5);
  HoldId hold = 0;
  HoldForRevoke(5, &hold);
  Put("d", "j", 5);
  EXPECT_EQ(hold, 0u);
  h_.Settle();
  ASSERT_NE(hold, 0u);
  EXPECT_EQ(h_.replica->LeaseKeys(LeaseId(5)), std::vector<std::string>{"j"});
  Put("e", "j");  // may not detach under the revoke's eyes
  h_.Settle();
  EXPECT_EQ(TakeLog(), "a=2 b=3 c=4 ");
  h_.replica->Release(hold);
  h_.Settle();
  EXPECT_EQ(TakeLog(), "d=5 e=6 ");
}

// Who has judged the key must find it as it was, until it is done.
TEST_F(ReplicaTest, RevokeHoldWaitsForAGivenHoldThatJudgesAKeyOfTheLease) {
  Grant(5);
  for (const char* key : {"j", "k", "l"}) Put(key, key, 5);
  h_.Settle();
  Scope scope;
  scope.reads.push_back(mvcc::KeyRange(mvcc::FromEtcd("k", "")));
  scope.reads.push_back(mvcc::KeyRange(mvcc::FromEtcd("x", "z")));
  HoldId judging = 0;
  h_.replica->Hold(scope, [&judging](HoldId id) { judging = id; });
  ASSERT_NE(judging, 0u);
  HoldId revoking = 0;
  HoldForRevoke(5, &revoking);
  Put("m", "m");
  h_.Settle();  // others go on
  EXPECT_EQ(revoking, 0u);
  h_.replica->Release(judging);
  EXPECT_NE(revoking, 0u);
  h_.replica->Release(revoking);
  EXPECT_EQ(TakeLog(), "j=2 k=3 l=4 m=5 ");
}

// A put that keeps its key's lease attaches to it as well, and would starve the revocation.
TEST_F(ReplicaTest, APutThatKeepsALeaseDoesNotOvertakeItsRevocation) {
  Grant(5);
  Put("a", "k", 5);
  h_.Settle();
  Put("b", "j", 5);
  HoldId hold = 0;
  HoldForRevoke(5, &hold);
  etcdserverpb::PutRequest keep;
  keep.set_key("k");
  keep.set_ignore_lease(true);
  h_.replica->Put(keep, Note<PutResult>("c"));
  h_.Settle();
  ASSERT_NE(hold, 0u);
  EXPECT_EQ(TakeLog(), "a=2 b=3 ");
  h_.replica->Release(hold);
  h_.Settle();
  EXPECT_EQ(TakeLog(), "c=4 ");
}

TEST_F(ReplicaTest, EntryOfAnotherOriginWithoutARequestIsAppliedAndAnswersNobody) {
  h_.AppendForeign(EncodeSinglePut(ReplicaHarness::kPartition, "x", "1", LeaseId(0)), true);
  h_.Settle();
  Get("g", "x");
  h_.Settle();
  EXPECT_EQ(TakeLog(), "g:1@2 ");
}

TEST_F(ReplicaTest, AReadTxnOfManyRangesLetsOthersIn) {
  ReplicaOptions options;
  options.step_keys = 2;
  ReplicaHarness slow(options);
  etcdserverpb::PutRequest put;
  put.set_key("k");
  slow.replica->Put(put, [](absl::StatusOr<Reply<PutResult>> r) { ASSERT_TRUE(r.ok()); });
  slow.Settle();
  const auto read = [&slow](int ranges, const std::string& key, const std::string& range_end) {
    etcdserverpb::TxnRequest txn;
    for (int i = 0; i < ranges; ++i) {
      etcdserverpb::RangeRequest* range = txn.add_success()->mutable_request_range();
      range->set_key(key);
      range->set_range_end(range_end);
      range->set_count_only(!range_end.empty());
    }
    auto answered = std::make_shared<size_t>(0);
    slow.replica->ReadTxn(txn, {.kind = Freshness::Kind::kSerializable, .tail = {}},
                          [answered](absl::StatusOr<Reply<TxnResult>> reply) {
                            ASSERT_TRUE(reply.ok());
                            *answered = reply->result.responses.size();
                          });
    return answered;
  };
  EXPECT_EQ(*read(2, "k", ""), 2u);
  for (const char* key : {"k", "missing"}) {
    for (const char* range_end : {"", "z"}) {  // with an end what is there is only counted
      const auto answered = read(5, key, range_end);
      EXPECT_EQ(*answered, 0u) << key << " to " << range_end;
      slow.Settle();
      EXPECT_EQ(*answered, 5u);
    }
  }
}

TEST_F(ReplicaTest, CompactedWhileALongRangeIsRead) {
  ReplicaOptions options;
  options.step_keys = 1;
  ReplicaHarness slow(options);
  etcdserverpb::PutRequest put;
  for (const char* key : {"a", "b", "c"}) {
    put.set_key(key);
    slow.replica->Put(put, [](absl::StatusOr<Reply<PutResult>> r) { ASSERT_TRUE(r.ok()); });
  }
  slow.Settle();
  std::string log;
  auto read = [&](int64_t revision) {
    etcdserverpb::RangeRequest request;
    request.set_key("a");
    request.set_range_end("z");
    request.set_revision(revision);
    slow.replica->Range(
        request, {Freshness::Kind::kSerializable, {}}, [&](absl::StatusOr<Reply<RangeResult>> r) {
          log += r.ok() ? absl::StrCat(r->result.items.size(), "@", r->revision.value(), " ")
                        : absl::StrCat(r.status().message(), " ");
        });
  };
  read(0);
  read(4);
  put.set_key("d");
  slow.replica->Put(put, [](absl::StatusOr<Reply<PutResult>> r) { ASSERT_TRUE(r.ok()); });
  EffectsWriter effects;
  effects.AddCompaction(Revision(5));
  slow.AppendForeign(std::move(effects).Take(), false);
  slow.Deliver();
  slow.Settle();
  EXPECT_EQ(log, "etcdserver: mvcc: required revision has been compacted 4@5 ");
}

// Lets time pass while an entry is applied.
class SlowObserver final : public ApplyObserver {
 public:
  void OnLeaseGranted(LeaseId, int64_t) override { clock->Advance(takes); }
  void OnLeaseRevoked(LeaseId) override {}
  void OnLeaseRemaining(LeaseId, int64_t) override {}
  void OnAlarm(uint64_t, int, bool) override {}

  ManualClock* clock = nullptr;
  absl::Duration takes;
};

TEST(ReplicaStatsTest, SlowBatchesAreCounted) {
  SlowObserver observer;
  ReplicaHarness h({}, &observer);
  observer.clock = &h.clock;
  int64_t id = 0;
  auto grant = [&](absl::Duration takes) {
    observer.takes = takes;
    EffectsWriter effects;
    effects.AddLeaseGrant({LeaseId(++id), 10});
    h.AppendForeign(std::move(effects).Take(), false);
    h.Settle();
    return h.replica->stats().slow_applies_total.load();
  };
  EXPECT_EQ(grant(absl::Milliseconds(100)), 0);
  EXPECT_EQ(grant(absl::Milliseconds(101)), 1);
  EXPECT_EQ(grant(absl::Milliseconds(1)), 1);
}

TEST(ReplicaStatsTest, ReadsAreOpenUntilTheyAreAnswered) {
  ReplicaHarness h;
  etcdserverpb::RangeRequest request;
  request.set_key("a");
  int answers = 0;
  h.replica->Range(request, {}, [&](absl::StatusOr<Reply<RangeResult>>) { ++answers; });
  EXPECT_EQ(h.replica->stats().open_reads.load(), 1 - answers);
  h.Settle();
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(h.replica->stats().open_reads.load(), 0);
}

// A page costs what it holds; with a count it costs all that is left of the range.
TEST(RangeReaderTest, WithoutACountNothingBehindThePageIsLookedAt) {
  ReplicaHarness h;
  for (int i = 0; i < 1000; ++i) {
    etcdserverpb::PutRequest put;
    put.set_key(absl::StrCat("k", 1000 + i));
    h.replica->Put(put, [](absl::StatusOr<Reply<PutResult>> r) { ASSERT_TRUE(r.ok()); });
  }
  h.Settle();
  etcdserverpb::RangeRequest request;
  request.set_key("k");
  request.set_range_end("l");
  request.set_limit(9);
  auto steps = [&](RangeCount count, RangeResult* result) {
    RangeReader reader(h.replica->store(), request, mvcc::kLatest, count);
    int steps = 1;
    while (!reader.Step(10)) ++steps;
    *result = std::move(reader).Take();
    return steps;
  };
  RangeResult counted, page;
  EXPECT_GE(steps(RangeCount::kWhole, &counted), 100);
  EXPECT_EQ(steps(RangeCount::kNone, &page), 1);
  EXPECT_EQ(counted.count, 1000);
  EXPECT_EQ(page.count, 0);
  EXPECT_EQ(page.items.size(), 9u);
  EXPECT_TRUE(page.more);
  request.set_limit(1000);
  steps(RangeCount::kNone, &page);
  EXPECT_EQ(page.items.size(), 1000u);
  EXPECT_FALSE(page.more);
}

TEST(MergeRangesTest, EqualsOneRangeOverEverything) {
  // The model test compares single partitions with the contract; here two halves with the whole.
  ReplicaHarness whole, odd, even;
  for (int i = 0; i < 20; ++i) {
    etcdserverpb::PutRequest put;
    put.set_key(absl::StrCat("k", i % 13));
    put.set_value(std::to_string(i * 7 % 5));
    for (ReplicaHarness* h : {&whole, i % 13 % 2 ? &odd : &even}) {
      h->replica->Put(put, [](absl::StatusOr<Reply<PutResult>> r) { ASSERT_TRUE(r.ok()); });
      h->Settle();
    }
  }
  using etcdserverpb::RangeRequest;
  for (int code = 0; code < 3 * 5 * 4 * 2 * 2; ++code) {
    RangeRequest request;
    request.set_key("k");
    request.set_range_end("l");
    request.set_sort_order(static_cast<RangeRequest::SortOrder>(code % 3));
    request.set_sort_target(static_cast<RangeRequest::SortTarget>(code / 3 % 5));
    // Revisions differ between the stores.
    if (request.sort_target() == RangeRequest::MOD || request.sort_target() == RangeRequest::CREATE)
      continue;
    request.set_limit(code / 15 % 4 * 3);
    request.set_keys_only(code / 60 % 2);
    request.set_count_only(code / 120 % 2);
    const RangeRequest part = RangeForOnePartition(request);
    std::vector<RangeResult> parts;
    parts.push_back(ReadRange(odd.replica->store(), part, mvcc::kLatest));
    parts.push_back(ReadRange(even.replica->store(), part, mvcc::kLatest));
    const RangeResult merged = MergeRanges(std::move(parts), request);
    const RangeResult expected = ReadRange(whole.replica->store(), request, mvcc::kLatest);
    EXPECT_EQ(merged.count, expected.count);
    EXPECT_EQ(merged.more, expected.more) << request.ShortDebugString();
    ASSERT_EQ(merged.items.size(), expected.items.size()) << request.ShortDebugString();
    auto expected_item = expected.items.begin();
    for (const RangeItem& item : merged.items) {
      EXPECT_EQ(item.key, expected_item->key) << request.ShortDebugString();
      ++expected_item;
    }
  }
}

}  // namespace
}  // namespace tidemark::kvstore
