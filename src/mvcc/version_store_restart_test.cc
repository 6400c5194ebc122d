// A store over the death of its process: killed at any fail point, adopted again, compared with a
// map. And over a tmpfs that lies: damage is refused or makes no difference, it is never believed.
// TIDEMARK_SEED=n runs one seed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/failpoint.h"
#include "src/base/heap_mapper_for_test.h"
#include "src/base/thread_pool.h"
#include "src/mvcc/key_value_codec.h"
#include "src/mvcc/map_model_for_test.h"
#include "src/mvcc/segment.h"
#include "src/mvcc/segment_table.h"
#include "src/mvcc/version_store.h"

namespace tidemark::mvcc {
namespace {

struct Killed {};

class RestartTest {
 public:
  explicit RestartTest(uint64_t seed) : random_(seed) { CHECK(store_->StartEmpty().ok()); }
  ~RestartTest() { failpoint::ClearHandler(); }

  void Run(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
      const int64_t dice = Below(100);
      if (dice < 75)
        Mutate();
      else if (dice < 90)
        Step();
      else if (dice < 93)
        Compact();
      else if (dice < 95)
        Restart();
      else if (dice < 96)
        ExpectModel(*store_);
      else
        kill_in_ = 1 + Below(30);
    }
    Restart();
    ExpectModel(*store_);
  }

  // Damages what a dead process left, a copy of it each time.
  void RunDamaged(int rounds) {
    Run(600);
    for (int round = 0; round < rounds && !::testing::Test::HasFailure(); ++round) {
      store_.reset();
      const Content content = Save();
      Damage();
      const Content damaged = Save();
      const std::string alone = Verdict(alone_);
      Load(damaged);
      EXPECT_EQ(Verdict(several_), alone);
      Load(damaged);
      std::unique_ptr<VersionStore> store = NewStore();
      if (store->Adopt().ok()) {
        ++believed_;
        Finish(*store);
        ExpectModel(*store);
      } else {
        ++refused_;
        EXPECT_TRUE(store->StartEmpty().ok());
        EXPECT_EQ(store->stats().versions, 0);
      }
      store.reset();
      Load(content);
      store_ = NewStore();
      ASSERT_TRUE(store_->Adopt().ok());
      Finish(*store_);
    }
  }
  int refused() const { return refused_; }
  int kills() const { return kills_; }

 private:
  using Content = std::map<std::string, std::string>;
  struct Change {
    int64_t sub;
    bool is_delete;
    std::string key, value;
    int64_t lease;
  };

  int64_t Below(int64_t bound) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(bound));
  }
  std::unique_ptr<VersionStore> NewStore() {
    return VersionStore::Create({.name = "p1", .identity = 77, .segment_size_bytes = 4096},
                                memory_);
  }

  // True when the process died in `action`; the store is gone then.
  template <typename Action>
  bool Dies(Action action) {
    failpoint::SetHandler([this](absl::string_view name) {
      if (absl::StartsWith(name, "mvcc.") && kill_in_ > 0 && --kill_in_ == 0) throw Killed();
    });
    bool died = false;
    try {
      action();
    } catch (const Killed&) {
      died = true;
    }
    failpoint::ClearHandler();
    if (!died) return false;
    ++kills_;
    Restart();
    return true;
  }

  void Restart() {
    const bool may_lack_newest = store_->current_revision().value() < revision_;
    store_.reset();
    store_ = NewStore();
    const absl::Status adopted = store_->Adopt();
    ASSERT_TRUE(adopted.ok()) << adopted;
    if (!may_lack_newest) {
      ASSERT_EQ(store_->stats().last_change.value(), last_change_);
    }
    Finish(*store_);
  }
  void Finish(VersionStore& store) {
    store.FinishStart({.current = std::max(Revision(applied_), store.stats().last_change),
                       .compacted = Revision(model_.compact),
                       .last_change = Revision(0)});
  }

  // What Adopt says, and all that the store then holds.
  std::string Verdict(ParallelRunner& workers) {
    LoadProgress progress;
    std::unique_ptr<VersionStore> store = NewStore();
    const absl::Status adopted = store->Adopt(workers, progress);
    if (!adopted.ok()) return adopted.ToString();
    Finish(*store);
    ExpectLeased(*store);
    const StoreStats stats = store->stats();
    std::string verdict =
        absl::StrCat(stats.live_keys, " ", stats.versions, " ", stats.logical_bytes, " ",
                     stats.logical_live_bytes, " ", stats.state_hash, " ", stats.stored_hash, "\n");
    RevisionKey next{Revision(0), 0};
    while (next.main <= store->current_revision()) {
      next = store->VisitStored(next, 1000, [&](const StoredRecord& record) {
        absl::StrAppend(&verdict, record.revision.main.value(), ".", record.revision.sub, " ",
                        record.tombstone, " ", record.wire.view(), "\n");
      });
    }
    // In which order compaction goes on.
    store->TrackRemovals(kLatest, 1 << 20);
    while (store->CompactStep(1, kLatest)) {
      absl::StrAppend(&verdict, store->Removals()->hash, "\n");
    }
    return verdict;
  }
  static void ExpectLeased(VersionStore& store) {
    std::map<std::string, int64_t> leased;
    store.TakeLeased([&](absl::string_view key, LeaseId lease) {
      EXPECT_TRUE(leased.emplace(std::string(key), lease.value()).second);
    });
    store.Visit(FromEtcd(absl::string_view("\0", 1), absl::string_view("\0", 1)), kLatest,
                [&](const KeyValueView& kv) {
                  if (kv.lease.value() == 0) return true;
                  auto found = leased.find(std::string(kv.key));
                  EXPECT_TRUE(found != leased.end() && found->second == kv.lease.value());
                  leased.erase(std::string(kv.key));
                  return true;
                });
    EXPECT_TRUE(leased.empty());
  }

  void Mutate() {
    const int64_t main = revision_ + 1;
    std::vector<Change> changes;
    for (int64_t n = Below(5) == 0 ? 1 + Below(12) : 1; n > 0; --n) {
      Change change{
          static_cast<int64_t>(changes.size()), false, "k" + std::to_string(Below(60)),
          std::string(static_cast<size_t>(Below(60) == 0 ? Below(9000) : Below(300)), 'v'),
          Below(3)};
      change.is_delete = model_.At(change.key, INT64_MAX) != nullptr && Below(3) == 0;
      const RevisionKey at{Revision(main), change.sub};
      if (change.is_delete)
        model_.Delete(at, change.key);
      else
        model_.Put(at, change.key, change.value, change.lease);
      changes.push_back(std::move(change));
    }
    revision_ = main;
    // Applied again from the journal until it is complete.
    while (last_change_ < main && !::testing::Test::HasFailure()) {
      if (Dies([&] { Apply(main, changes); })) {
        last_change_ = store_->stats().last_change.value();
        ASSERT_TRUE(last_change_ == main || last_change_ == applied_);
      } else {
        last_change_ = main;
      }
    }
    applied_ = main;
  }
  void Apply(int64_t main, const std::vector<Change>& changes) {
    // A restart left the store ahead of what it has applied only in name.
    store_->BeginEntry(Revision(main));
    for (const Change& change : changes) {
      if (change.is_delete)
        store_->Delete(change.sub, change.key);
      else
        store_->Put(change.sub, change.key, change.value, LeaseId(change.lease));
    }
    store_->CommitEntry();
  }

  void Step() {
    Dies([&] { store_->CompactStep(1 + Below(60), kLatest); });
  }
  void Compact() {
    const int64_t revision = revision_ - (Below(3) == 0 ? 0 : Below(50));
    if (revision <= model_.compact || revision < 1) return;
    store_->Compact(Revision(revision));
    model_.Compact(revision);
  }

  void ExpectModel(VersionStore& store) {
    while (store.CompactStep(100, kLatest)) {
    }
    store.CheckInvariants();
    auto expected = model_.changes.begin();
    RevisionKey next{Revision(0), 0};
    while (next.main.value() <= revision_) {
      next = store.VisitStored(next, 1 + Below(50), [&](const StoredRecord& record) {
        ASSERT_NE(expected, model_.changes.end());
        const ModelVersion& want = expected->second;
        KeyValueFields fields;
        ASSERT_TRUE(DecodeKeyValue(record.wire.view(), &fields));
        EXPECT_EQ(record.revision, want.revision);
        EXPECT_EQ(record.tombstone, want.tombstone);
        EXPECT_EQ(fields.key, want.key);
        EXPECT_EQ(fields.value, want.value);
        EXPECT_EQ(fields.version, want.version);
        EXPECT_EQ(fields.create_revision, want.create);
        ++expected;
      });
    }
    ASSERT_EQ(expected, model_.changes.end());
  }

  Content Save() {
    Content content;
    for (const std::string& name : memory_.Leftovers()) {
      const absl::Span<char> bytes = memory_.Bytes(name);
      content[name] = std::string(bytes.data(), bytes.size());
    }
    return content;
  }
  void Load(const Content& content) {
    for (const std::string& name : memory_.Leftovers()) memory_.Remove(name);
    for (const auto& [name, bytes] : content) {
      std::copy(bytes.begin(), bytes.end(), (*memory_.Create(name, bytes.size()))->data());
    }
  }
  void Damage() {
    const std::vector<std::string> names = memory_.Leftovers();
    const std::string& name = names[static_cast<size_t>(Below(static_cast<int64_t>(names.size())))];
    const absl::Span<char> bytes = memory_.Bytes(name);
    const auto at = static_cast<size_t>(Below(static_cast<int64_t>(bytes.size())));
    switch (Below(5)) {
      case 0:
        bytes[at] ^= static_cast<char>(1 << Below(8));
        break;
      case 1:  // the rest was never there
        std::fill(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.end(), '\0');
        break;
      case 2:  // somewhere in the first bytes, where headers are
        bytes[at % 160] ^= static_cast<char>(1 << Below(8));
        break;
      case 3:
        memory_.Remove(name);
        break;
      case 4: {  // swapped with another
        const std::string& other =
            names[static_cast<size_t>(Below(static_cast<int64_t>(names.size())))];
        const absl::Span<char> others = memory_.Bytes(other);
        std::swap_ranges(
            bytes.begin(),
            bytes.begin() + static_cast<ptrdiff_t>(std::min(bytes.size(), others.size())),
            others.begin());
        break;
      }
    }
  }

  std::mt19937_64 random_;
  HeapMapper memory_;
  InlineParallelRunner alone_;
  ThreadPool several_{"adopt", 3};
  std::unique_ptr<VersionStore> store_ = NewStore();
  MapModel model_;
  int64_t revision_ = 1;     // the model's
  int64_t applied_ = 1;      // of entries that the store has completed
  int64_t last_change_ = 1;  // the store's, as it says
  int64_t kill_in_ = 0;
  int kills_ = 0;
  int believed_ = 0;
  int refused_ = 0;
};

uint64_t Chosen(uint64_t seed) {
  const char* chosen = std::getenv("TIDEMARK_SEED");
  return chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : seed;
}

class VersionStoreRestartTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(VersionStoreRestartTest, AdoptsWhatADeadProcessHad) {
  const uint64_t seed = Chosen(GetParam());
  SCOPED_TRACE("TIDEMARK_SEED=" + std::to_string(seed));
  RestartTest test(seed);
  test.Run(20000);
  EXPECT_GT(test.kills(), 20);
}

TEST_P(VersionStoreRestartTest, BelievesNoDamage) {
  const uint64_t seed = Chosen(GetParam());
  SCOPED_TRACE("TIDEMARK_SEED=" + std::to_string(seed));
  RestartTest test(seed);
  test.RunDamaged(200);
  EXPECT_GT(test.refused(), 40);
}

INSTANTIATE_TEST_SUITE_P(Seeds, VersionStoreRestartTest, ::testing::Range<uint64_t>(1, 7));

TEST(VersionStoreRestart, RefusesTheMemoryOfAnotherStore) {
  HeapMapper memory;
  const StoreOptions options{.name = "p1", .identity = 1, .segment_size_bytes = 4096};
  std::unique_ptr<VersionStore> store = VersionStore::CreateEmpty(options, memory);
  store->BeginEntry(Revision(2));
  store->Put(0, "k", "v", LeaseId(0));
  store->CommitEntry();
  store.reset();
  StoreOptions other = options;
  other.identity = 2;
  std::unique_ptr<VersionStore> foreign = VersionStore::Create(other, memory);
  EXPECT_EQ(foreign->Adopt().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(memory.Leftovers().empty());
}

// Versions of one key over several segments, all but the newest superseded, and a deleted key.
class HistoryTest : public ::testing::Test {
 protected:
  HistoryTest() {
    std::unique_ptr<VersionStore> store = VersionStore::CreateEmpty(options_, memory_);
    for (int64_t main = 2; main < 100; ++main) {
      store->BeginEntry(Revision(main));
      if (main == 50) store->Put(0, "deleted", "value", LeaseId(0));
      if (main == 51) store->Delete(0, "deleted");
      store->Put(1, "k", std::string(100, 'v'), LeaseId(0));
      store->CommitEntry();
    }
    store.reset();
    for (const std::string& name : memory_.Leftovers()) content_[name] = Text(name);
  }
  std::string Text(const std::string& name) {
    const absl::Span<char> bytes = memory_.Bytes(name);
    return std::string(bytes.data(), bytes.size());
  }
  // Of what was left, changed by `damage`, which gets the region `name`.
  template <typename Damage>
  absl::Status Adopt(const std::string& name, Damage damage) {
    for (const std::string& left : memory_.Leftovers()) memory_.Remove(left);
    for (const auto& [region, bytes] : content_) {
      std::copy(bytes.begin(), bytes.end(), (*memory_.Create(region, bytes.size()))->data());
    }
    damage(memory_.Bytes(name).data());
    return VersionStore::Create(options_, memory_)->Adopt();
  }
  static void Nothing(char*) {}

  const StoreOptions options_{.name = "p1", .identity = 1, .segment_size_bytes = 4096};
  const std::string table_ = SegmentTable::NameFor("p1");
  HeapMapper memory_;
  std::map<std::string, std::string> content_;
};

TEST_F(HistoryTest, NoticesWhatNoLiveKeyMisses) {
  ASSERT_TRUE(Adopt(table_, &Nothing).ok());
  int records = 0;
  for (const auto& [name, bytes] : content_) {
    if (name == table_) continue;
    size_t offset = Segment::kFirstOffset;
    size_t before = offset;
    while (offset + sizeof(RecordHeader) <= bytes.size()) {
      const auto* record = reinterpret_cast<const RecordHeader*>(bytes.data() + offset);
      if (record->wire_size == 0) break;
      const absl::Status dead = Adopt(name, [offset](char* data) {
        auto* marked = reinterpret_cast<RecordHeader*>(data + offset);
        marked->mark = RecordHeader::DeadMarkOf(marked->checksum);
      });
      EXPECT_TRUE(absl::IsDataLoss(dead)) << name << " at " << offset << ": " << dead;
      ++records;
      before = std::exchange(offset, offset + RecordSizeBytes(record->wire_size));
    }
    const absl::Status cut = Adopt(name, [before](char* data) {
      reinterpret_cast<SegmentHeader*>(data)->sealed_bytes = before;
    });
    EXPECT_TRUE(absl::IsDataLoss(cut)) << name << ": " << cut;
  }
  EXPECT_EQ(records, 100);
  // Its places: the first ones are used.
  constexpr size_t kPlacesOffset = 240;
  for (size_t place = 0; place + 1 < content_.size(); ++place) {
    const absl::Status unlisted = Adopt(table_, [place](char* data) {
      auto* word = reinterpret_cast<uint64_t*>(data + kPlacesOffset) + place;
      EXPECT_NE(*word, 0);
      *word = 0;
    });
    EXPECT_TRUE(absl::IsDataLoss(unlisted)) << place << ": " << unlisted;
  }
}

TEST_F(HistoryTest, ATableOfAnotherVersionIsRefusedInWords) {
  const absl::Status refused = Adopt(table_, [](char* data) { data[7] = '1'; });
  EXPECT_TRUE(absl::IsDataLoss(refused));
  EXPECT_EQ(refused.message(), "a segment table of another version");
  EXPECT_EQ(memory_.Bytes(table_).size(), 0u);
}

// A table that cannot be read when it is to be judged, and can be a moment later.
TEST_F(HistoryTest, WhatWasNotJudgedIsNotAdopted) {
  const auto flip = [this] {
    if (!memory_.Bytes(table_).empty()) memory_.Bytes(table_)[7] ^= 1;
  };
  std::unique_ptr<VersionStore> store = VersionStore::Create(options_, memory_);
  flip();
  const auto judge = [](const VersionStore::Left&) { return absl::OkStatus(); };
  EXPECT_TRUE(absl::IsDataLoss(store->DiscardUnless(judge)));
  flip();
  EXPECT_FALSE(store->Adopt().ok());
  EXPECT_TRUE(store->StartEmpty().ok());
}

TEST(VersionStoreRestart, FindsNothingWhereNothingWasLeft) {
  HeapMapper memory;
  EXPECT_EQ(VersionStore::Create({.name = "p1"}, memory)->Adopt().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace tidemark::mvcc
