#include "src/partition/local_store.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "src/base/failpoint.h"
#include "src/partition/store_for_test.h"

namespace tidemark::partition {
namespace {

using etcdserverpb::AlarmRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kMember = 77;

LocalStoreOptions Options(PartitionMap map = PartitionMap::Default()) {
  LocalStoreOptions options;
  options.map = std::move(map);
  options.member_id = kMember;
  return options;
}

std::string Value(const kvstore::RangeItem& item) { return std::string(item.value); }

// key = value in several partitions, by one txn.
etcdserverpb::TxnRequest PutAll(const std::string& value) {
  etcdserverpb::TxnRequest txn;
  for (const char* key : {"/registry/pods/x", "/registry/minions/x", "/registry/zz"}) {
    auto* put = txn.add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value(value);
  }
  return txn;
}

TEST(LocalStore, RestartKeepsKeysLeasesAlarmsAndRevisions) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Grant(5, 1000).ok());
  ASSERT_TRUE(store.Put("/registry/pods/a", "1", 5).ok());
  ASSERT_TRUE(store.Txn(PutAll("2")).ok());
  ASSERT_TRUE(store.Compact(2, true).ok());
  ASSERT_TRUE(store.Alarm(AlarmRequest::ACTIVATE, 9, etcdserverpb::CORRUPT).ok());
  const auto hash = store.HashKv(0);
  ASSERT_TRUE(hash.ok());

  ASSERT_TRUE(store.Restart().ok());
  EXPECT_EQ(store.router().Status().revision, Revision(3));
  EXPECT_EQ(store.router().Status().compact_revision, Revision(2));
  EXPECT_EQ(store.HashKv(0)->result.hash, hash->result.hash);
  EXPECT_THAT(store.TimeToLive(5, true)->result.keys, ElementsAre("/registry/pods/a"));
  EXPECT_THAT(store.router().Status().alarms, ElementsAre(AlarmEntry{9, etcdserverpb::CORRUPT}));
  EXPECT_EQ(store.Put("a", "1").status().message(), "etcdserver: corrupt cluster");
  ASSERT_TRUE(store.Alarm(AlarmRequest::DEACTIVATE, 9, etcdserverpb::CORRUPT).ok());
  EXPECT_EQ(store.Put("a", "1")->revision, Revision(4));
}

TEST(LocalStore, AnotherPartitionMapIsRefusedAtStart) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Put("/registry/pods/a", "1").ok());
  const absl::Status refused = store.Restart(Options(PartitionMap::Single()));
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("another partition map"));
  // Other names for the same prefixes are the same map.
  ASSERT_TRUE(
      store
          .Restart(Options(*PartitionMap::Parse(
              "p=/registry/pods/;n=/registry/minions/;l=/registry/leases/;e=/registry/events/")))
          .ok());
  EXPECT_EQ(store.Range("/registry/pods/a", "")->result.count, 1);
}

// As RangeStream reads: pages, each beginning behind the last, inside and over partitions.
TEST(LocalStore, PagesMakeTheWholeWithoutCounting) {
  StoreForTest store(Options(), 1, 3);
  ASSERT_TRUE(store.Start().ok());
  for (const char* prefix : {"/registry/pods/", "/registry/minions/", "/registry/zz/", "/a/"}) {
    for (int i = 10; i < 20; ++i) ASSERT_TRUE(store.Put(absl::StrCat(prefix, i), "v").ok());
  }
  const auto whole = store.Range("/", "0");
  ASSERT_TRUE(whole.ok());
  ASSERT_EQ(whole->result.items.size(), 40u);
  for (int64_t limit : {1, 7, 39, 40, 41}) {
    etcdserverpb::RangeRequest request;
    request.set_key("/");
    request.set_range_end("0");
    request.set_limit(limit);
    std::vector<std::string> keys;
    for (bool more = true; more;) {
      auto page = store.Wait<kvstore::RangeResult>(
          [&](auto done) { store.router().RangePage({}, request, std::move(done)); });
      ASSERT_TRUE(page.ok()) << page.status();
      EXPECT_EQ(page->result.count, 0);
      ASSERT_FALSE(page->result.items.empty());
      for (const auto& item : page->result.items) keys.emplace_back(item.key);
      request.set_key(keys.back() + '\0');
      more = page->result.more;
    }
    ASSERT_EQ(keys.size(), 40u) << limit;
    auto key = keys.begin();
    for (const auto& item : whole->result.items) EXPECT_EQ(*key++, item.key);
  }
}

// X3, P4: readers see all of a transaction over partitions or nothing of it.
TEST(LocalStore, P4_ReadersSeeWholeTransactions) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    StoreForTest store(Options(), seed, 3);
    ASSERT_TRUE(store.Start().ok());
    ASSERT_TRUE(store.Txn(PutAll("0")).ok());
    int answers = 0;
    int64_t torn = 0;
    for (int i = 1; i <= 40; ++i) {
      store.router().Txn({}, PutAll(absl::StrCat(i)),
                         [&](absl::StatusOr<kvstore::Reply<kvstore::TxnResult>> reply) {
                           EXPECT_TRUE(reply.ok());
                           ++answers;
                         });
      etcdserverpb::RangeRequest range;
      range.set_key("/registry/");
      range.set_range_end("/registry0");
      range.set_serializable(i % 2 == 0);
      store.router().Range({}, range,
                           [&](absl::StatusOr<kvstore::Reply<kvstore::RangeResult>> reply) {
                             ++answers;
                             ASSERT_TRUE(reply.ok());
                             ASSERT_EQ(reply->result.items.size(), 3u);
                             for (const auto& item : reply->result.items) {
                               torn += Value(item) != Value(reply->result.items.front());
                             }
                           });
      store.world().RunFor(absl::Microseconds(200));
    }
    EXPECT_TRUE(store.world().RunUntil([&] { return answers == 80; }, absl::Minutes(1)));
    EXPECT_EQ(torn, 0);
    EXPECT_EQ(store.router().Status().revision, Revision(42));
    store.world().RunFor(absl::Seconds(1));
    store.store().CheckIdle();
  }
}

// etcd looks at the operations in order and names the first fault, wherever the keys live.
TEST(LocalStore, OfSeveralFaultsTheFirstIsNamed) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(store.Put("/registry/pods/a", "1").ok());
  ASSERT_TRUE(store.Compact(5, true).ok());
  const auto refusal = [&](const std::string& key, int64_t revision, const std::string& next_key,
                           int64_t next_revision, bool writes) {
    etcdserverpb::TxnRequest txn;
    for (const auto& [k, r] : {std::pair(key, revision), std::pair(next_key, next_revision)}) {
      auto* range = txn.add_success()->mutable_request_range();
      range->set_key(k);
      range->set_revision(r);
    }
    if (writes) txn.add_success()->mutable_request_put()->set_key("b");
    return std::string(store.Txn(txn).status().message());
  };
  const std::vector<std::string> keys = {"/registry/pods/x", "/registry/minions/x",
                                         "/registry/events/x", "/registry/leases/x", "a"};
  for (const std::string& first : keys) {
    for (const std::string& second : keys) {
      for (bool writes : {false, true}) {
        EXPECT_EQ(refusal(first, 2, second, 99, writes),
                  "etcdserver: mvcc: required revision has been compacted");
        EXPECT_EQ(refusal(first, 99, second, 2, writes),
                  "etcdserver: mvcc: required revision is a future revision");
      }
    }
  }
}

TEST(LocalStore, QuotaRefusesRaisesAndRecoversByItself) {
  LocalStoreOptions options = Options();
  options.quota_bytes = 13 * 4096;  // etcd's TestAlarm
  StoreForTest store(options);
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Put("/registry/pods/small", "x").ok());
  const std::string big(4096, 'x');
  absl::Status refused;
  for (int i = 0; i < 100 && refused.ok(); ++i)
    refused = store.Put("/registry/pods/k", big).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.message(), "etcdserver: mvcc: database space exceeded");
  const AlarmEntry alarm{kMember, etcdserverpb::NOSPACE};
  EXPECT_THAT(store.router().Status().alarms, ElementsAre(alarm));
  // What the quota would still allow is refused because of the alarm; deletes are not.
  EXPECT_EQ(store.Put("a", "1").status().message(), refused.message());
  EXPECT_EQ(store.Grant(1, 100).status().message(), refused.message());
  etcdserverpb::DeleteRangeRequest del;
  del.set_key("a");
  EXPECT_TRUE(store.DeleteRange(del).ok());
  // An alarm is as durable as etcd's until space is back.
  ASSERT_TRUE(store.Restart(options).ok());
  EXPECT_THAT(store.router().Status().alarms, ElementsAre(alarm));
  ASSERT_TRUE(store.Compact(store.router().Status().revision.value(), true).ok());
  ASSERT_TRUE(store.Defragment().ok());
  store.world().RunFor(absl::Seconds(1));
  EXPECT_TRUE(store.router().Status().alarms.empty());
  EXPECT_TRUE(store.Put("a", "1").ok());
}

TEST(LocalStore, MemoryRefusesBeforeItRunsOutAndRecoversByItself) {
  LocalStoreOptions options = Options();
  options.quota_bytes = -1;
  StoreForTest store(options);
  store.memory().SetCapacityBytes(8 << 20);
  ASSERT_TRUE(store.Start().ok());
  const std::string big(10000, 'x');
  absl::Status refused;
  for (int i = 0; i < 2000 && refused.ok(); ++i)
    refused = store.Put("/registry/pods/k", big).status();
  EXPECT_EQ(refused.message(), "etcdserver: mvcc: database space exceeded");
  // Two segments for each partition, and a thirty-second of all as headroom.
  const uint64_t floor = 2 * (64u << 10) * store.store().map().size();
  EXPECT_GT(store.memory().space().free_bytes, floor);
  EXPECT_LT(store.memory().space().free_bytes, floor + (8u << 20) / 32 + (128u << 10));
  EXPECT_THAT(store.router().Status().alarms,
              ElementsAre(AlarmEntry{kMember, etcdserverpb::NOSPACE}));
  ASSERT_TRUE(store.Compact(store.router().Status().revision.value(), true).ok());
  store.world().RunFor(absl::Seconds(1));
  EXPECT_TRUE(store.router().Status().alarms.empty());
  EXPECT_TRUE(store.Put("/registry/pods/k", big).ok());
}

TEST(LocalStore, AClientsNoSpaceAlarmStays) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Put("a", "1").ok());
  ASSERT_TRUE(store.Alarm(AlarmRequest::ACTIVATE, kMember, etcdserverpb::NOSPACE).ok());
  ASSERT_TRUE(store.Compact(2, true).ok());
  ASSERT_TRUE(store.Defragment().ok());
  store.world().RunFor(absl::Seconds(1));
  EXPECT_EQ(store.Put("a", "1").status().code(), absl::StatusCode::kResourceExhausted);
  const auto all = store.Alarm(AlarmRequest::GET, 0, etcdserverpb::NONE);
  EXPECT_EQ(all->result.size(), 1u);
  EXPECT_TRUE(store.Alarm(AlarmRequest::GET, 0, etcdserverpb::CORRUPT)->result.empty());
  EXPECT_EQ(store.Alarm(AlarmRequest::DEACTIVATE, kMember, etcdserverpb::NOSPACE)->result.size(),
            1u);
  EXPECT_TRUE(
      store.Alarm(AlarmRequest::DEACTIVATE, kMember, etcdserverpb::NOSPACE)->result.empty());
  EXPECT_TRUE(store.Put("a", "1").ok());
}

// One such number marks, in the journal, what the node itself raised.
TEST(LocalStore, NoAlarmsNumberChangesNothing) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Alarm(AlarmRequest::ACTIVATE, kMember, etcdserverpb::NOSPACE).ok());
  for (const int number : {3, 1000}) {
    const auto type = static_cast<etcdserverpb::AlarmType>(number);
    EXPECT_TRUE(store.Alarm(AlarmRequest::ACTIVATE, kMember, type)->result.empty());
  }
  store.world().RunFor(absl::Minutes(1));
  ASSERT_TRUE(store.Compact(1, true).ok());
  EXPECT_THAT(store.Alarm(AlarmRequest::GET, 0, etcdserverpb::NONE)->result,
              ElementsAre(AlarmEntry{kMember, etcdserverpb::NOSPACE}));
}

TEST(LocalStore, AClientsNoSpaceAlarmStaysWhenTheQuotaIsReachedAsWell) {
  LocalStoreOptions options = Options();
  options.quota_bytes = 100 << 10;
  StoreForTest store(options);
  ASSERT_TRUE(store.Start().ok());
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(store.Put("a", std::string(12 << 10, 'v')).ok());
  ASSERT_TRUE(store.Alarm(AlarmRequest::ACTIVATE, kMember, etcdserverpb::NOSPACE).ok());
  for (int i = 0; i < 9; ++i) ASSERT_FALSE(store.Put("a", std::string(12 << 10, 'v')).ok());
  ASSERT_TRUE(store.Compact(7, true).ok());
  store.world().RunFor(absl::Minutes(1));
  EXPECT_EQ(store.Put("a", "1").status().code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(store.Alarm(AlarmRequest::DEACTIVATE, kMember, etcdserverpb::NOSPACE).ok());
  EXPECT_TRUE(store.Put("a", "1").ok());
}

TEST(LocalStore, OneNoSpaceAlarmIsRaisedForAllThatAreRefusedAtOnce) {
  LocalStoreOptions options = Options();
  options.quota_bytes = 100 << 10;
  StoreForTest store(options);
  ASSERT_TRUE(store.Start().ok());
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(store.Put("a", std::string(12 << 10, 'v')).ok());
  const Position before = store.journal().KnownTail().position;
  etcdserverpb::PutRequest request;
  request.set_key("a");
  request.set_value(std::string(12 << 10, 'v'));
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    store.router().Put({}, request, [&](absl::StatusOr<kvstore::Reply<kvstore::PutResult>> reply) {
      if (absl::IsResourceExhausted(reply.status())) ++refused;
    });
  }
  store.world().RunFor(absl::Milliseconds(500));
  EXPECT_EQ(refused, 20);
  EXPECT_EQ(store.journal().KnownTail().position, before.Next());
}

TEST(LocalStore, AClientTakesOverTheNoSpaceAlarmThatTheNodeRaised) {
  LocalStoreOptions options = Options();
  options.quota_bytes = 100 << 10;
  StoreForTest store(options);
  ASSERT_TRUE(store.Start().ok());
  while (store.Put("a", std::string(12 << 10, 'v')).ok()) {
  }
  const auto taken = store.Alarm(AlarmRequest::ACTIVATE, kMember, etcdserverpb::NOSPACE);
  EXPECT_EQ(taken->result.size(), 1u);
  ASSERT_TRUE(store.Restart().ok());
  ASSERT_TRUE(store.Compact(store.router().Status().revision.value(), true).ok());
  store.world().RunFor(absl::Minutes(1));
  EXPECT_EQ(store.Put("a", "1").status().code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(store.Alarm(AlarmRequest::DEACTIVATE, kMember, etcdserverpb::NOSPACE).ok());
  EXPECT_TRUE(store.Put("a", "1").ok());
}

// The client hears of the first operation that is refused, whichever partition it is in, and
// nothing is judged again to find it.
TEST(LocalStore, ATxnOfSeveralPartitionsIsJudgedOnceAndRefusedForItsFirstFault) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  for (const bool pods_first : {true, false}) {
    etcdserverpb::TxnRequest txn;
    for (int i = 0; i < 20; ++i) {
      txn.add_success()->mutable_request_put()->set_key(absl::StrCat("/registry/pods/", i));
      txn.add_success()->mutable_request_put()->set_key(absl::StrCat("a", i));
    }
    for (const bool in_pods : {pods_first, !pods_first}) {
      auto* put = txn.add_success()->mutable_request_put();
      put->set_key(in_pods ? "/registry/pods/bad" : "bad");
      if (in_pods) put->set_lease(77);
      if (!in_pods) put->set_ignore_value(true);
    }
    int judged = 0;
    failpoint::SetHandler([&judged](absl::string_view name) {
      if (name == "kvstore.evaluate") ++judged;
    });
    const absl::Status refused = store.Txn(txn).status();
    failpoint::ClearHandler();
    EXPECT_EQ(refused.message(),
              pods_first ? "etcdserver: requested lease not found" : "etcdserver: key not found");
    EXPECT_EQ(judged, 2);
  }
  EXPECT_EQ(store.router().Status().revision, Revision(1));
}

TEST(LocalStore, RequestSizeIsLimitedWithEtcdsMargin) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  etcdserverpb::PutRequest request;
  request.set_key("k");
  CallContext context;
  const auto put = [&] {
    return store.Wait<kvstore::PutResult>(
        [&](auto done) { store.router().Put(context, request, std::move(done)); });
  };
  context.request_size_bytes = 1572864 - 20;
  EXPECT_TRUE(put().ok());
  context.request_size_bytes += 1;
  EXPECT_EQ(put().status().message(), "etcdserver: request is too large");
}

TEST(LocalStore, CompactionsAnswersAndStoredHashes) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(store.Put("/registry/pods/a", absl::StrCat(i)).ok());
    ASSERT_TRUE(store.Put("/registry/zz", absl::StrCat(i)).ok());
  }
  const auto before = store.HashKv(10);
  EXPECT_EQ(before->result.compact_revision, Revision(-1));
  EXPECT_EQ(store.Compact(22, false).status().message(),
            "etcdserver: mvcc: required revision is a future revision");
  EXPECT_EQ(store.Compact(10, true)->revision, Revision(21));
  EXPECT_EQ(store.Compact(10, true).status().message(),
            "etcdserver: mvcc: required revision has been compacted");
  // The hash of the compaction's revision is the one from before it (contract 5.3).
  const auto stored = store.HashKv(10);
  EXPECT_EQ(stored->result.hash, before->result.hash);
  EXPECT_EQ(stored->result.compact_revision, Revision(-1));
  EXPECT_EQ(store.HashKv(11)->result.compact_revision, Revision(10));
  EXPECT_EQ(store.HashKv(9).status().message(),
            "etcdserver: mvcc: required revision has been compacted");
  etcdserverpb::RangeRequest range;
  range.set_key("/registry/");
  range.set_range_end("/registry0");
  range.set_revision(9);
  EXPECT_EQ(store.Range(range).status().message(),
            "etcdserver: mvcc: required revision has been compacted");
  range.set_revision(10);
  EXPECT_EQ(store.Range(range)->result.count, 2);
}

// Removal stands still while a checkpoint is made, perhaps for minutes. Only those wait who asked
// to.
TEST(LocalStore, CompactionsAndHashesDoNotWaitForRemovals) {
  LocalStoreOptions options = Options();
  options.checkpoints.journal_bytes = 1;  // a round as soon as it is looked
  options.checkpoints.records_per_step = 1;
  StoreForTest store(options);
  ASSERT_TRUE(store.Start().ok());
  constexpr int kPuts = 1500;
  for (int i = 0; i < kPuts; ++i) ASSERT_TRUE(store.Put("/registry/pods/a", absl::StrCat(i)).ok());
  const int64_t rounds = store.store().checkpoint_stats().rounds;
  ASSERT_TRUE(store.world().RunUntil(
      [&] { return store.store().checkpoint_stats().rounds > rounds; }, absl::Minutes(1)));
  store.world().RunFor(absl::Milliseconds(1500));  // in the middle of the next one
  const int64_t round = store.store().checkpoint_stats().rounds;
  std::vector<uint32_t> hashes;
  for (int64_t revision = 100; revision < 120; ++revision) {
    ASSERT_TRUE(store.Compact(revision, false).ok());
    EXPECT_EQ(store.Compact(revision, false).status().message(),
              "etcdserver: mvcc: required revision has been compacted");
    hashes.push_back(store.HashKv(revision + 10)->result.hash);
    // Contract 5.3, also right after it and while nothing is removed.
    EXPECT_EQ(store.HashKv(revision)->result.compact_revision,
              Revision(revision == 100 ? -1 : revision - 1));
    EXPECT_EQ(store.HashKv(50).status().message(),
              "etcdserver: mvcc: required revision has been compacted");
  }
  ASSERT_EQ(store.store().checkpoint_stats().rounds, round);
  EXPECT_GT(store.router().Status().versions, kPuts - 100);
  // Physical ones do, also those that come to nothing.
  const absl::Duration asked = store.world().clock().Monotonic();
  EXPECT_FALSE(store.Compact(119, true).ok());
  EXPECT_GT(store.world().clock().Monotonic() - asked, absl::Milliseconds(100));
  EXPECT_EQ(store.router().Status().versions, kPuts + 2 - 119);
  EXPECT_EQ(store.HashKv(119)->result.compact_revision, Revision(118));  // a stored one
  EXPECT_EQ(store.HashKv(129)->result.hash, hashes.back());
}

TEST(LocalStore, DefragmentWaitsForWhatWasCompactedBefore) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  constexpr int kPuts = 1000;
  for (int i = 0; i < kPuts; ++i) ASSERT_TRUE(store.Put("/registry/pods/a", absl::StrCat(i)).ok());
  ASSERT_TRUE(store.Compact(900, false).ok());
  ASSERT_TRUE(store.Defragment().ok());
  EXPECT_EQ(store.router().Status().versions, kPuts + 2 - 900);
}

// Asked for together with a compaction, a hash is the one from before it.
TEST(LocalStore, HashesAndRemovalsBesideEachOther) {
  StoreForTest store(Options(), 1, /*executors=*/5);
  ASSERT_TRUE(store.Start().ok());
  constexpr int64_t kChanges = 12000;  // many steps of a walk
  etcdserverpb::TxnRequest txn;
  for (int i = 0; i < 100; ++i) {
    auto* put = txn.add_success()->mutable_request_put();
    put->set_key(absl::StrCat("/registry/pods/", i));
  }
  for (int i = 0; i < kChanges / 100; ++i) ASSERT_TRUE(store.Txn(txn).ok());
  const int64_t last = kChanges / 100 + 1;
  etcdserverpb::CompactionRequest compaction;
  for (int64_t revision = 2; revision < 20; ++revision) {
    const auto expected = store.HashKv(last);
    bool walked = false;
    bool compacted = false;
    compaction.set_revision(revision);
    store.router().Compact({}, compaction, [&](const auto& reply) { compacted = reply.ok(); });
    store.router().HashKv(Revision(last), [&](const auto& reply) {
      walked = true;
      ASSERT_TRUE(reply.ok()) << reply.status();
      EXPECT_EQ(reply->result.hash, expected->result.hash) << revision;
      EXPECT_EQ(reply->result.compact_revision, expected->result.compact_revision);
    });
    ASSERT_TRUE(store.world().RunUntil([&] { return compacted && walked; }, absl::Minutes(1)));
    store.world().RunFor(absl::Milliseconds(100));
  }
}

// etcd compares the revision as it was asked for with those it stored, so 0 finds none of them.
TEST(LocalStore, HashOfThePresentIsNotTheStoredOne) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Put("/registry/pods/a", "1").ok());
  ASSERT_TRUE(store.Put("/registry/pods/a", "2").ok());
  ASSERT_TRUE(store.Compact(3, true).ok());
  EXPECT_EQ(store.HashKv(3)->result.compact_revision, Revision(-1));
  EXPECT_EQ(store.HashKv(0)->result.compact_revision, Revision(3));
  EXPECT_NE(store.HashKv(0)->result.hash, store.HashKv(3)->result.hash);
  ASSERT_TRUE(store.Put("/registry/pods/a", "3").ok());
  ASSERT_TRUE(store.Compact(4, true).ok());
  // A stored one is answered although its revision is compacted by now.
  EXPECT_EQ(store.HashKv(3)->result.compact_revision, Revision(-1));
  EXPECT_EQ(store.HashKv(3)->revision, Revision(4));
  EXPECT_EQ(store.HashKv(2).status().message(),
            "etcdserver: mvcc: required revision has been compacted");
  EXPECT_EQ(store.HashKv(-5)->result.hash_revision, Revision(-5));  // not refused, and of nothing
}

// A partition applies a compaction beyond the agreed tail between two steps of its part.
TEST(LocalStore, ReadsOfThePresentOutlastCompactions) {
  StoreForTest store(Options(), 1, /*executors=*/5);
  ASSERT_TRUE(store.Start().ok());
  constexpr int kTxns = 6;  // more keys than a step reads
  for (int i = 0; i < kTxns; ++i) {
    etcdserverpb::TxnRequest puts;
    for (int k = 0; k < 100; ++k) {
      puts.add_success()->mutable_request_put()->set_key(
          absl::StrCat("/registry/pods/", i, "-", k));
    }
    ASSERT_TRUE(store.Txn(puts).ok());
  }
  int answers = 0;
  const auto expect_present = [&answers](auto reply) {
    ++answers;
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->revision, Revision(kTxns + 3));  // read again at a newer tail
  };
  etcdserverpb::RangeRequest everything;
  everything.set_key(std::string(1, '\0'));
  everything.set_range_end(std::string(1, '\0'));
  etcdserverpb::TxnRequest txn;
  *txn.add_success()->mutable_request_range() = everything;

  for (size_t i = 1; i < 5; ++i) store.world().Stall(store.executor(i), absl::Seconds(1));
  ASSERT_EQ(store.Put("/registry/zz", "1")->revision, Revision(kTxns + 2));
  store.router().Range({}, everything, expect_present);
  store.router().Txn({}, txn, expect_present);
  store.world().RunFor(absl::Milliseconds(50));  // the tail is agreed on
  ASSERT_EQ(store.Put("/registry/zz", "2")->revision, Revision(kTxns + 3));
  etcdserverpb::CompactionRequest compaction;
  compaction.set_revision(kTxns + 3);
  store.router().Compact({}, compaction, [&answers](auto reply) {
    ++answers;
    EXPECT_TRUE(reply.ok());
  });
  ASSERT_TRUE(store.world().RunUntil([&] { return answers == 3; }, absl::Minutes(1)));
}

TEST(LocalStore, PeriodicCompactionRunsByItself) {
  LocalStoreOptions options = Options();
  options.auto_compaction = {AutoCompaction::Mode::kPeriodic, absl::Minutes(10), 0};
  StoreForTest store(options);
  ASSERT_TRUE(store.Start().ok());
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(store.Put("/registry/pods/a", "1").ok());
  store.world().RunFor(absl::Minutes(9));
  EXPECT_EQ(store.router().Status().compact_revision, Revision(-1));
  store.world().RunFor(absl::Minutes(12));
  EXPECT_EQ(store.router().Status().compact_revision, Revision(10));
}

TEST(LocalStore, AfterStopRequestsAreRefused) {
  StoreForTest store(Options());
  ASSERT_TRUE(store.Start().ok());
  store.store().Stop();
  EXPECT_EQ(store.Put("a", "1").status().message(), "etcdserver: server stopped");
  EXPECT_EQ(store.Txn(PutAll("1")).status().message(), "etcdserver: server stopped");
}

}  // namespace
}  // namespace tidemark::partition
