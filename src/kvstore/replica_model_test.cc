// Random requests through a replica over a journal that delivers late, every field of every answer
// compared with the map model; and the same seed twice gives the same answers.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/base/config.h"
#include "gtest/gtest.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/map_model_for_test.h"
#include "src/kvstore/replica_harness_for_test.h"
#include "src/kvstore/request_checks.h"
#include "src/kvstore/txn_path.h"

namespace tidemark::kvstore {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;
using etcdserverpb::TxnRequest;

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  int Below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  bool OneIn(int n) { return Below(n) == 0; }
  int64_t revision = 1;  // about the newest

  std::string Key() { return std::string("k") + static_cast<char>('a' + Below(9)); }
  std::string End(const std::string& key) {
    if (OneIn(2)) return "";
    if (OneIn(5)) return std::string(1, '\0');
    return OneIn(8) ? "ka" : key + static_cast<char>('a' + Below(3)) + (OneIn(2) ? "z" : "");
  }
  std::string RangeEnd() {
    if (OneIn(2)) return "";
    return OneIn(5) ? std::string(1, '\0') : Key();
  }
  int64_t Lease() { return OneIn(4) ? 1 + Below(5) : 0; }
  int64_t PastRevision() {
    if (OneIn(10)) return revision + Below(4);
    return OneIn(8) ? -1 - Below(3) : std::max<int64_t>(0, revision - Below(12));
  }
  etcdserverpb::PutRequest Put() {
    etcdserverpb::PutRequest r;
    r.set_key(Key());
    r.set_prev_kv(OneIn(2));
    r.set_ignore_value(OneIn(10));
    r.set_ignore_lease(OneIn(10));
    if (!r.ignore_value()) r.set_value(std::to_string(Below(4)));
    if (!r.ignore_lease()) r.set_lease(Lease());
    return r;
  }
  etcdserverpb::DeleteRangeRequest Delete() {
    etcdserverpb::DeleteRangeRequest r;
    r.set_key(Key());
    r.set_range_end(RangeEnd());
    r.set_prev_kv(OneIn(2));
    return r;
  }
  RangeRequest Range() {
    RangeRequest r;
    r.set_key(OneIn(4) ? std::string(1, '\0') : Key());
    r.set_range_end(OneIn(3) ? std::string(1, '\0') : RangeEnd());
    if (OneIn(3)) r.set_limit(Below(5) - 1);
    if (OneIn(4)) r.set_revision(PastRevision());
    if (OneIn(4)) r.set_sort_order(static_cast<RangeRequest::SortOrder>(Below(3)));
    if (OneIn(4)) r.set_sort_target(static_cast<RangeRequest::SortTarget>(Below(5)));
    r.set_keys_only(OneIn(6));
    r.set_count_only(OneIn(8));
    if (OneIn(10)) r.set_min_mod_revision(std::max<int64_t>(0, revision - Below(20)));
    if (OneIn(10)) r.set_max_mod_revision(std::max<int64_t>(0, revision - Below(20)));
    if (OneIn(15)) r.set_min_create_revision(std::max<int64_t>(0, revision - Below(20)));
    if (OneIn(15)) r.set_max_create_revision(std::max<int64_t>(0, revision - Below(20)));
    return r;
  }
  Compare OneCompare() {
    Compare c;
    c.set_key(Key());
    c.set_range_end(OneIn(4) ? RangeEnd() : "");
    c.set_result(static_cast<Compare::CompareResult>(Below(OneIn(20) ? 6 : 4)));
    c.set_target(static_cast<Compare::CompareTarget>(Below(OneIn(20) ? 7 : 5)));
    switch (OneIn(8) ? Below(6) : static_cast<int>(c.target())) {
      case 0: c.set_version(Below(4)); break;
      case 1: c.set_create_revision(OneIn(2) ? 0 : revision - Below(5)); break;
      case 2: c.set_mod_revision(OneIn(2) ? 0 : revision - Below(5)); break;
      case 3: c.set_value(std::to_string(Below(4))); break;
      case 4: c.set_lease(Below(5)); break;
      default: break;  // no union
    }
    return c;
  }
  TxnRequest Txn(int depth) {
    TxnRequest r;
    for (int i = Below(3); i > 0; --i) *r.add_compare() = OneCompare();
    for (auto* branch : {r.mutable_success(), r.mutable_failure()}) {
      for (int i = Below(4); i > 0; --i) FillOp(branch->Add(), depth);
    }
    return r;
  }

 private:
  void FillOp(etcdserverpb::RequestOp* op, int depth) {
    switch (Below(depth > 0 ? 8 : 6)) {
      case 0: case 1: case 2: *op->mutable_request_put() = Put(); break;
      case 3: *op->mutable_request_delete_range() = Delete(); break;
      case 4: case 5: *op->mutable_request_range() = Range(); break;
      default: *op->mutable_request_txn() = Txn(depth - 1);
    }
  }
  std::mt19937_64 random_;
};

// One answer of the replica, to be judged once the executor's task that gave it is over.
struct Given {
  int64_t revision = 0;
  bool changed = false;  // it is the answer of an entry
  int64_t committed_before = 0;  // revision when the request was sent
  std::string what;
  std::string text;
  bool ok = true;
  std::function<MapModel::Answer(const Given&)> expect;
};

class ModelRun : public ApplyObserver {
 public:
  explicit ModelRun(uint64_t seed) : random_(seed), harness_(Options(seed), this) {}

  void OnLeaseGranted(LeaseId id, int64_t) override { model_.leases().insert(id.value()); }
  void OnLeaseRevoked(LeaseId) override {}
  void OnLeaseRemaining(LeaseId, int64_t) override {}
  void OnAlarm(uint64_t, int, bool) override {}

  void Execute(int requests) {
    for (int i = 0; i < requests && !testing::Test::HasFailure(); ++i) {
      random_.revision = model_.revision();
      Send();
      Judge();
      while (random_.OneIn(2)) Move();
      if (i % 1000 == 999) {
        Drain();
        harness_.replica->CheckInvariants();
      }
    }
    Drain();
    EXPECT_EQ(outstanding_, 0);
    EXPECT_EQ(harness_.replica->watermark().revision.value(), model_.revision());
  }
  size_t digest() const { return digest_; }
  int64_t refusals() const { return refusals_; }
  int64_t effects() const { return effects_; }

 private:
  static ReplicaOptions Options(uint64_t seed) {
    ReplicaOptions options;
    options.step_keys = 1 + seed % 4;  // ranges take several steps
    options.store.segment_size_bytes = 16 << 10;
    return options;
  }

  void Move() {
    switch (random_.Below(4)) {
      case 0: harness_.executor.RunOne(); break;
      case 1: harness_.journal.AnswerQuestions(); break;
      case 2: harness_.Deliver(1); break;
      default: harness_.Deliver(1 + random_.Below(5));
    }
    Judge();
  }
  void Drain() {
    for (int i = 0; i < 10000 && (outstanding_ > 0 || harness_.journal.undelivered() > 0); ++i) {
      while (harness_.executor.RunOne()) Judge();
      harness_.journal.AnswerQuestions();
      harness_.Deliver(3);
      Judge();
    }
    while (harness_.executor.RunOne()) Judge();
  }

  // Answers of entries in their order, then what was judged at the state behind them.
  void Judge() {
    std::vector<Given> given = std::exchange(given_, {});
    std::stable_sort(given.begin(), given.end(), [](const Given& a, const Given& b) {
      return a.changed != b.changed ? a.changed : (a.changed && a.revision < b.revision);
    });
    const auto applied = harness_.replica->watermark().position;
    bool compactions_done = false;
    for (const Given& one : given) {
      if (!one.changed && !std::exchange(compactions_done, true)) ApplyCompactions(applied);
      JudgeOne(one);
    }
    ApplyCompactions(applied);
  }
  void ApplyCompactions(Position applied) {
    while (!compactions_.empty() && compactions_.front().first <= applied) {
      model_.Compact(compactions_.front().second);
      compactions_.erase(compactions_.begin());
    }
  }
  void JudgeOne(const Given& one) {
    --outstanding_;
    ++(one.changed ? effects_ : refusals_);
    const MapModel::Answer expected = one.expect(one);
    EXPECT_EQ(one.ok, expected.ok) << one.what << "\n" << one.text << "\n" << expected.text;
    EXPECT_EQ(one.text, expected.text) << one.what;
    if (one.ok) {
      EXPECT_EQ(one.revision, expected.revision) << one.what;
      EXPECT_GE(one.revision, one.committed_before) << one.what;
    }
    digest_ = digest_ * 1099511628211u + std::hash<std::string>()(one.text) + one.revision;
  }

  template <typename Result, typename Request>
  Replica::Callback<Result> Collect(const Request& request, bool linearizable,
                                    std::function<MapModel::Answer(const Given&)> expect) {
    ++outstanding_;
    Given given;
    given.committed_before =
        linearizable ? harness_.journal.KnownTail().revision.value() : 0;
    given.what = request.ShortDebugString();
    given.expect = std::move(expect);
    return [this, given = std::move(given)](absl::StatusOr<Reply<Result>> reply) mutable {
      given.ok = reply.ok();
      given.text = reply.ok() ? Text(reply->result) : std::string(reply.status().message());
      given.revision = reply.ok() ? reply->revision.value() : 0;
      given.changed = reply.ok() && HasEffect(reply->result);
      given_.push_back(std::move(given));
    };
  }
  static bool HasEffect(const RangeResult&) { return false; }
  static bool HasEffect(const PutResult&) { return true; }
  static bool HasEffect(const DeleteResult& r) { return r.deleted > 0; }
  static bool HasEffect(const TxnResult& r) {
    return std::any_of(r.responses.begin(), r.responses.end(), [](const OpResult& op) {
      return std::visit(
          [](const auto& result) {
            if constexpr (std::is_same_v<std::decay_t<decltype(result)>,
                                         std::unique_ptr<TxnResult>>) {
              return HasEffect(*result);
            } else {
              return HasEffect(result);
            }
          },
          op.result);
    });
  }

  void Send() {
    const int kind = random_.Below(100);
    if (kind < 35) return SendPut();
    if (kind < 45) return SendDelete();
    if (kind < 75) return SendTxn();
    if (kind < 88) return SendRange();
    if (kind < 92) return SendReadTxn();
    if (kind < 94) return SendGrant();
    if (kind < 96) return SendRevoke();
    if (kind < 97) return SendCompaction();
    SendHeldTxn();
  }
  void SendPut() {
    auto request = random_.Put();
    if (!CheckPut(request).ok()) return;
    harness_.replica->Put(request, Collect<PutResult>(request, true, [=, this](const Given&) {
      return model_.Put(request);
    }));
  }
  void SendDelete() {
    auto request = random_.Delete();
    harness_.replica->DeleteRange(
        request, Collect<DeleteResult>(request, true,
                                       [=, this](const Given&) { return model_.Delete(request); }));
  }
  void SendTxn() {
    auto request = random_.Txn(2);
    if (!CheckTxn(request, 128).ok()) return;
    harness_.replica->Txn(request, Collect<TxnResult>(request, true, [=, this](const Given& g) {
      return model_.Txn(request, /*compaction_blind=*/g.changed);
    }));
  }
  Freshness AnyFreshness(bool* linearizable) {
    Freshness freshness;
    *linearizable = random_.Below(3) > 0;
    if (!*linearizable) freshness.kind = Freshness::Kind::kSerializable;
    return freshness;
  }
  void SendRange() {
    auto request = random_.Range();
    bool linearizable;
    const Freshness freshness = AnyFreshness(&linearizable);
    harness_.replica->Range(
        request, freshness, Collect<RangeResult>(request, linearizable, [=, this](const Given& g) {
          return model_.Range(request, g.ok ? g.revision : 0);
        }));
  }
  void SendReadTxn() {
    auto request = random_.Txn(0);
    for (auto* branch : {request.mutable_success(), request.mutable_failure()}) {
      for (auto& op : *branch) {
        auto range = random_.Range();
        range.clear_revision();
        *op.mutable_request_range() = range;
      }
    }
    bool linearizable;
    Freshness freshness = AnyFreshness(&linearizable);
    // Several steps may pass between the reading and the answer: only the shape is compared then.
    harness_.replica->ReadTxn(
        request, freshness, Collect<TxnResult>(request, linearizable, [=, this](const Given& g) {
          if (g.revision == model_.revision()) return model_.Txn(request, false);
          return MapModel::Answer{g.text, g.revision, true};
        }));
  }
  void SendGrant() {
    const LeaseId id(1 + random_.Below(4));
    if (granted_.insert(id).second) {
      EffectsWriter effects;
      effects.AddLeaseGrant({id, 60});
      harness_.AppendForeign(std::move(effects).Take(), false);
    }
  }
  void SendRevoke() {
    const LeaseId id(1 + random_.Below(4));
    if (!harness_.replica->LeaseExists(id) || !revoking_.insert(id).second) return;
    ++outstanding_;
    Scope scope;
    scope.revokes.push_back(id);
    harness_.replica->Hold(std::move(scope), [this, id](HoldId hold) {
      std::vector<KeyChange> changes;
      for (std::string& key : harness_.replica->LeaseKeys(id)) {
        KeyChange change;
        change.is_delete = true;
        change.sub = static_cast<int64_t>(changes.size());
        change.key = std::move(key);
        changes.push_back(std::move(change));
      }
      EffectsWriter effects;
      if (!changes.empty()) effects.AddKeyChanges(ReplicaHarness::kPartition, changes);
      effects.AddLeaseRevoke(id);
      const uint64_t number =
          harness_.AppendForeign(std::move(effects).Take(), !changes.empty());
      harness_.replica->ExpectEntry(
          hold, OriginId(88), number, {}, [this, id](Reply<std::vector<OpResult>> reply) {
            revoking_.erase(id);
            granted_.erase(id);
            Given given;
            given.revision = reply.revision.value();
            given.changed = true;
            given.what = absl::StrCat("revoke ", id.value());
            given.text = "revoked";
            given.expect = [this, id](const Given&) { return model_.Revoke(id.value()); };
            given_.push_back(std::move(given));
          });
    });
  }
  void SendCompaction() {
    const int64_t applied = harness_.replica->watermark().revision.value();
    const int64_t revision = applied - random_.Below(6);
    if (revision <= last_compaction_ || revision < 1) return;
    last_compaction_ = revision;
    EffectsWriter effects;
    effects.AddCompaction(Revision(revision));
    harness_.AppendForeign(std::move(effects).Take(), false);
    compactions_.push_back({harness_.journal.KnownTail().position, revision});
    harness_.replica->RunCompaction(Revision(revision), Replica::Pace::kHurry, [] {});
  }
  // The way of the coordinator, with everything held.
  void SendHeldTxn() {
    auto request = std::make_shared<TxnRequest>(random_.Txn(2));
    if (!CheckTxn(*request, 128).ok()) return;
    ++outstanding_;
    Scope scope;
    mvcc::KeyRange all;
    all.begin = "a";
    all.to_infinity = true;
    scope.reads.push_back(all);
    scope.writes.push_back(all);
    for (int64_t lease = 1; lease < 7; ++lease) scope.attaches.push_back(LeaseId(lease));
    harness_.replica->Hold(std::move(scope), [this, request](HoldId hold) {
      EvaluateHeld(hold, request);
    });
  }
  void EvaluateHeld(HoldId hold, std::shared_ptr<TxnRequest> request) {
    auto path = std::make_shared<TxnPath>(DecideTxnPath(*request, [&](const Compare& compare) {
      const Replica::CompareOutcome outcome = harness_.replica->Compare(hold, compare);
      return outcome.exists ? outcome.holds : CompareHoldsForMissing(compare);
    }));
    auto changes = harness_.replica->Evaluate(hold, path->ops, /*refused_op=*/nullptr);
    if (!changes.ok() || changes->empty()) {
      --outstanding_;  // not confirmed, so no answer
      harness_.replica->Release(hold);
      return;
    }
    EffectsWriter effects;
    effects.AddKeyChanges(ReplicaHarness::kPartition, *changes);
    const uint64_t number = harness_.AppendForeign(std::move(effects).Take(), true);
    harness_.replica->ExpectEntry(
        hold, OriginId(88), number, path->ops,
        [this, request, path](Reply<std::vector<OpResult>> reply) {
          Given given;
          given.revision = reply.revision.value();
          given.changed = true;
          given.what = request->ShortDebugString();
          given.text = Text(BuildTxnResult(path->shape, std::move(reply.result)));
          given.expect = [this, request](const Given&) { return model_.Txn(*request, true); };
          given_.push_back(std::move(given));
        });
  }

  Generator random_;
  MapModel model_;
  ReplicaHarness harness_;
  std::vector<Given> given_;
  std::vector<std::pair<Position, int64_t>> compactions_;
  std::set<LeaseId> granted_, revoking_;
  int64_t last_compaction_ = 0;
  int outstanding_ = 0;
  int64_t refusals_ = 0, effects_ = 0;
  size_t digest_ = 0;
};

TEST(ReplicaModelTest, MillionRequestsAnswerLikeTheModel) {
#if defined(ABSL_HAVE_ADDRESS_SANITIZER) || defined(ABSL_HAVE_THREAD_SANITIZER)
  constexpr int kSeeds = 5;  // several times slower; the release build does the million
#else
  constexpr int kSeeds = 50;
#endif
  constexpr int kRequests = 20000;
  for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    ModelRun run(seed);
    run.Execute(kRequests);
    EXPECT_GT(run.effects(), kRequests / 4);
    EXPECT_GT(run.refusals(), kRequests / 10);
  }
}

TEST(ReplicaModelTest, SameSeedSameAnswers) {
  ModelRun first(4711), second(4711);
  first.Execute(5000);
  second.Execute(5000);
  EXPECT_EQ(first.digest(), second.digest());
}

}  // namespace
}  // namespace tidemark::kvstore
