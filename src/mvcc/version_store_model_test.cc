// The store and its watchers against a map: random operations, every answer compared.
// TIDEMARK_SEED=n runs one seed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <random>

#include "src/base/heap_mapper_for_test.h"
#include "src/mvcc/key_value_codec.h"
#include "src/mvcc/map_model_for_test.h"
#include "src/mvcc/version_store.h"
#include "src/mvcc/watch_set.h"

namespace tidemark::mvcc {
namespace {

std::string Str(absl::string_view view) { return std::string(view.data(), view.size()); }

ModelVersion FromWire(RevisionKey revision, bool tombstone, absl::string_view wire) {
  KeyValueFields fields;
  EXPECT_TRUE(DecodeKeyValue(wire, &fields));
  return {revision,       Str(fields.key), tombstone, Str(fields.value), fields.create_revision,
          fields.version, fields.lease};
}

// One watcher's client: what it should get by the model, and what it has got.
class ModelWatcher final : public WatchSink {
 public:
  ModelWatcher(const MapModel& model, WatchSpec spec) : model_(model), spec_(std::move(spec)) {}

  void Expect(const ModelVersion& change) {
    if (change.tombstone ? spec_.no_delete : spec_.no_put) return;
    if (change.revision.main < spec_.start || !spec_.range.view().Contains(change.key)) return;
    expected_.push_back(change);
  }
  // What compaction removed at its own revision (a change overwritten in the same entry).
  void ForgetDropped() {
    std::erase_if(expected_, [&](const ModelVersion& change) {
      return change.revision.main.value() == model_.compact &&
             !model_.changes.contains(change.revision);
    });
  }
  void ExpectCaughtUp() const {
    EXPECT_TRUE(ended_ || expected_.empty()) << expected_.size() << " events missing";
  }

  bool HasRoom() override { return room_ > 0; }
  void OnEvents(WatcherId, EventBatchPtr batch, Revision) override {
    ASSERT_FALSE(ended_);
    ASSERT_GT(room_--, 0);
    ASSERT_FALSE(batch->events().empty());
    for (const Event& event : batch->events()) {
      ASSERT_FALSE(expected_.empty()) << "an event too many: " << event.revision.main;
      const bool tombstone = event.type == Event::Type::kDelete;
      ASSERT_EQ(FromWire(event.revision, tombstone, event.kv.view()), expected_.front());
      const ModelVersion* previous = model_.Previous(expected_.front());
      ASSERT_EQ(event.prev_kv.has_value(), spec_.prev_kv && previous != nullptr);
      if (event.prev_kv) {
        ASSERT_EQ(FromWire(previous->revision, false, event.prev_kv->view()), *previous);
      }
      last_main_ = event.revision.main;
      expected_.pop_front();
    }
    // Invariant 2: a revision is never split.
    EXPECT_TRUE(expected_.empty() || expected_.front().revision.main > last_main_);
  }
  void OnCompacted(WatcherId, Revision compact_revision) override {
    EXPECT_EQ(compact_revision.value(), model_.compact);
    EXPECT_LT(spec_.start, compact_revision);
    ended_ = true;
  }

  void set_room(int room) { room_ = room; }
  bool ended() const { return ended_; }
  const WatchSpec& spec() const { return spec_; }
  WatcherId id = 0;

 private:
  const MapModel& model_;
  const WatchSpec spec_;
  std::deque<ModelVersion> expected_;
  Revision last_main_{0};
  int room_ = 1 << 30;
  bool ended_ = false;
};

class ModelTest {
 public:
  explicit ModelTest(uint64_t seed) : random_(seed) {}

  void Run(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
      const int64_t dice = Below(1000);
      if (dice < 550)
        Mutate();
      else if (dice < 750)
        ReadKey();
      else if (dice < 800)
        ReadRange();
      else if (dice < 830)
        Count();
      else if (dice < 850)
        ReadHistory();
      else if (dice < 851)
        Compact();
      else if (dice < 900)
        store_->CompactStep(1 + Below(40), removal_bound_);
      else if (dice < 901)
        CheckHash(AnyReadable(), model_.compact);
      else if (dice < 905)
        AddWatcher();
      else if (dice < 908)
        RemoveWatcher();
      else if (dice < 930)
        ChangeRoom();
      else if (dice < 931)
        MoveRemovalBound();
      else
        watches_->CatchUpStep(1 + Below(30));
      if (i % 5000 == 4999) CheckEverything();
    }
    CheckEverything();
  }

 private:
  int64_t Below(int64_t bound) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(bound));
  }
  std::string Key() { return "k" + std::to_string(Below(90) + 10); }
  int64_t current() const { return store_->current_revision().value(); }
  int64_t Oldest() const { return std::max<int64_t>(model_.compact, 0); }
  int64_t AnyReadable() {
    return Below(2) == 0 ? current() : Oldest() + Below(current() - Oldest() + 1);
  }
  KeyRangeView Range(std::string* begin, std::string* end) {
    *begin = Key();
    *end = Key();
    switch (Below(4)) {
      case 0:
        end->clear();
        break;
      case 1:
        *end = std::string(1, '\0');
        break;
      default:
        break;
    }
    return FromEtcd(*begin, *end);
  }

  static void ExpectSame(const std::optional<KeyValue>& kv, const ModelVersion* expected) {
    ASSERT_EQ(kv.has_value(), expected != nullptr);
    if (!kv) return;
    ASSERT_EQ(FromWire(expected->revision, false, kv->wire.view()), *expected);
    ASSERT_EQ(Str(kv->key), expected->key);
    ASSERT_EQ(Str(kv->value), expected->value);
    ASSERT_EQ(kv->version, expected->version);
    ASSERT_EQ(kv->mod_revision, expected->revision.main);
  }

  void Mutate() {
    const Revision main(current() + 1 + (Below(10) == 0 ? Below(4) : 0));
    if (Below(40) == 0) store_->AdvanceTo(main.Previous());
    store_->BeginEntry(main);
    int64_t sub = Below(20) == 0 ? 3 : 0;
    for (int64_t n = Below(5) == 0 ? 1 + Below(5) : 1; n > 0; --n, sub += 1 + Below(2)) {
      const std::string key = Key();
      const ModelVersion* old = model_.At(key, INT64_MAX);
      if (old != nullptr && Below(4) == 0) {
        ExpectSame(store_->Delete(sub, key), old);
        model_.Delete({main, sub}, key);
      } else {
        const int64_t lease = Below(3) == 0 ? static_cast<int64_t>(random_()) : 0;
        std::string value(static_cast<size_t>(Below(200) == 0 ? Below(9000) : Below(30)), 'v');
        ExpectSame(store_->Put(sub, key, value, LeaseId(lease)), old);
        model_.Put({main, sub}, key, std::move(value), lease);
      }
    }
    const absl::Span<const Event> events = store_->CommitEntry();
    auto expected = model_.changes.lower_bound({main, 0});
    for (const Event& event : events) {
      ASSERT_NE(expected, model_.changes.end());
      ASSERT_EQ(FromWire(event.revision, event.type == Event::Type::kDelete, event.kv.view()),
                expected->second);
      for (auto& watcher : watchers_) watcher->Expect(expected->second);
      ++expected;
    }
    ASSERT_EQ(expected, model_.changes.end());
    watches_->Notify(main, events);
  }

  void ReadKey() {
    const std::string key = Key();
    const int64_t at = AnyReadable();
    const Revision revision = Below(3) == 0 ? kLatest : Revision(at);
    ExpectSame(store_->Get(key, revision), model_.At(key, revision.value()));
  }

  void ReadRange() {
    std::string begin, end;
    const KeyRangeView range = Range(&begin, &end);
    const int64_t at = AnyReadable();
    std::vector<ModelVersion> expected;
    for (const auto& [key, versions] : model_.keys) {
      const ModelVersion* version = model_.At(key, at);
      if (version != nullptr && range.Contains(key)) expected.push_back(*version);
    }
    size_t seen = 0;
    store_->Visit(range, Revision(at), [&](const KeyValueView& view) {
      EXPECT_LT(seen, expected.size());
      if (seen >= expected.size()) return false;
      EXPECT_EQ(FromWire(expected[seen].revision, false, store_->Share(view).view()),
                expected[seen]);
      ++seen;
      return true;
    });
    ASSERT_EQ(seen, expected.size());
  }

  void Count() {
    std::string begin, end;
    const KeyRangeView range = Range(&begin, &end);
    const int64_t at = AnyReadable();
    int64_t expected = 0;
    for (const auto& [key, versions] : model_.keys) {
      if (range.Contains(key) && model_.At(key, at) != nullptr) ++expected;
    }
    std::string resume;
    int64_t count = 0;
    do {
      count += store_->CountStep(range, Revision(at), 1 + Below(50), &resume);
    } while (!resume.empty());
    ASSERT_EQ(count, expected);
  }

  void ReadHistory() {
    std::string begin, end;
    const KeyRangeView range = Range(&begin, &end);
    const int64_t from = std::max(Oldest(), current() - Below(300));
    const int64_t upto = from + Below(current() - from + 1);
    const bool prev = Below(2) == 0;
    auto expected = model_.changes.lower_bound({Revision(from), 0});
    auto skip = [&] {
      while (expected != model_.changes.end() && !range.Contains(expected->second.key)) ++expected;
    };
    RevisionKey next{Revision(from), 0};
    while (next.main.value() <= upto) {
      int64_t stop_after = 1 + Below(20);
      next = store_->VisitEvents(
          next, Revision(upto), range, prev, 1 + Below(30), [&](const Event& event) {
            skip();
            EXPECT_TRUE(expected != model_.changes.end());
            if (expected == model_.changes.end()) return false;
            EXPECT_EQ(FromWire(event.revision, event.type == Event::Type::kDelete, event.kv.view()),
                      expected->second);
            const ModelVersion* previous = prev ? model_.Previous(expected->second) : nullptr;
            EXPECT_EQ(event.prev_kv.has_value(), previous != nullptr);
            ++expected;
            return --stop_after > 0;
          });
    }
    skip();
    ASSERT_TRUE(expected == model_.changes.end() || expected->first.main.value() > upto);
  }

  void CheckHash(int64_t at, int64_t compacted) {
    if (at < compacted) return;
    ExpectHash(model_.HashInputs(at, compacted), at, compacted);
  }
  bool NothingLives(int64_t at) {
    std::string resume;
    bool found = false;
    do {
      found = store_->FindLiveStep(Revision(at), 1 + Below(500), &resume);
    } while (!found && !resume.empty());
    return !found;
  }
  void ExpectHash(const std::vector<ModelVersion>& expected, int64_t at, int64_t compacted) {
    size_t seen = 0;
    RevisionKey next{Revision(0), 0};
    while (next.main.value() <= at) {
      next = store_->VisitForHash(
          next, {Revision(at), Revision(compacted), NothingLives(at)}, 1 + Below(500),
          [&](VersionStore::HashItem item) {
            ASSERT_LT(seen, expected.size());
            const ModelVersion& want = expected[seen++];
            ASSERT_EQ(item.revision, want.revision);
            ASSERT_EQ(FromWire(item.revision, item.tombstone, item.value.view()), want);
          });
    }
    ASSERT_EQ(seen, expected.size());
  }

  void Compact() {
    const int64_t former = model_.compact;
    const int64_t revision = current() - (Below(4) == 0 ? 0 : Below(200));
    if (revision <= former) return;
    const std::vector<ModelVersion> inputs = model_.HashInputs(revision, former);
    store_->Compact(Revision(revision));
    model_.Compact(revision);
    for (auto& watcher : watchers_) watcher->ForgetDropped();
    if (Below(2) == 0) ExpectHash(inputs, revision, former);
    ASSERT_FALSE(store_->CheckReadable(Revision(revision - 1)).ok());
    ASSERT_TRUE(store_->CheckReadable(Revision(revision)).ok());
  }

  void MoveRemovalBound() { removal_bound_ = Below(2) == 0 ? kLatest : Revision(AnyReadable()); }

  void AddWatcher() {
    if (watchers_.size() >= 12) return RemoveWatcher();
    std::string begin, end;
    WatchSpec spec;
    spec.range = KeyRange(Range(&begin, &end));
    if (spec.range.view().Empty()) return;
    spec.start = Revision(std::max<int64_t>(1, current() + 5 - Below(150)));
    spec.no_put = Below(5) == 0;
    spec.no_delete = Below(5) == 0;
    spec.prev_kv = Below(2) == 0;
    auto watcher = std::make_unique<ModelWatcher>(model_, spec);
    spec.sink = watcher.get();
    watcher->id = watches_->Add(spec);
    for (const auto& [revision, change] : model_.changes) watcher->Expect(change);
    watchers_.push_back(std::move(watcher));
  }
  void RemoveWatcher() {
    if (watchers_.empty()) return;
    auto it = watchers_.begin() + Below(static_cast<int64_t>(watchers_.size()));
    watches_->Remove((*it)->id);
    watchers_.erase(it);
  }
  void ChangeRoom() {
    if (watchers_.empty()) return;
    ModelWatcher& watcher =
        *watchers_[static_cast<size_t>(Below(static_cast<int64_t>(watchers_.size())))];
    watcher.set_room(static_cast<int>(Below(3) == 0 ? 0 : Below(2) == 0 ? Below(5) : 1 << 30));
    watches_->Resume(&watcher);
  }

  void CheckEverything() {
    for (auto& watcher : watchers_) {
      watcher->set_room(1 << 30);
      watches_->Resume(watcher.get());
    }
    while (watches_->CatchUpStep(50)) {
    }
    for (auto& watcher : watchers_) {
      watcher->ExpectCaughtUp();
      const bool future = watcher->spec().start.value() > current() + 1;
      EXPECT_EQ(watches_->IsSynced(watcher->id), !watcher->ended() && !future);
    }
    watches_->CheckInvariants();
    while (store_->CompactStep(100, kLatest)) {
    }
    store_->CheckInvariants();
    EXPECT_EQ(store_->stats().versions, static_cast<int64_t>(model_.changes.size()));
    CheckHash(current(), model_.compact);
  }

  std::mt19937_64 random_;
  HeapMapper memory_;
  std::unique_ptr<VersionStore> store_ =
      VersionStore::CreateEmpty({.name = "model", .segment_size_bytes = 4096}, memory_);
  std::vector<std::unique_ptr<ModelWatcher>> watchers_;
  std::unique_ptr<WatchSet> watches_ =
      WatchSet::Create(*store_, {.max_revisions_per_batch = 20, .max_bytes_per_batch = 2000});
  MapModel model_;
  Revision removal_bound_ = kLatest;
};

class VersionStoreModelTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(VersionStoreModelTest, AnswersLikeAMap) {
  const char* chosen = std::getenv("TIDEMARK_SEED");
  const uint64_t seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : GetParam();
  SCOPED_TRACE("TIDEMARK_SEED=" + std::to_string(seed));
  ModelTest(seed).Run(100000);
}

INSTANTIATE_TEST_SUITE_P(Seeds, VersionStoreModelTest, ::testing::Range<uint64_t>(1, 11));

}  // namespace
}  // namespace tidemark::mvcc
