// Random appends, claims, trims and subscribers on a simulated disk; crashes at any event and at
// fail points; unsynced bytes lost, kept or torn. After every restart the journal must hold every
// acknowledged entry, in order, once, with dense revisions, and what was read before must not
// change.
#include <map>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "src/journal/embedded_journal.h"
#include "tests/sim/env/crash.h"
#include "tests/sim/env/seeded_random.h"
#include "tests/sim/env/sim_disk.h"
#include "tests/sim/env/world.h"

namespace tidemark::journal {
namespace {

constexpr PartitionId kPartition{1};

// What the outside world was told; survives crashes.
struct History {
  struct Known {
    OriginId origin;
    uint64_t number = 0;
    Revision revision;
    std::string payload;
  };
  std::map<Position, Known> delivered;                    // J3: never changes
  std::map<std::pair<OriginId, uint64_t>, Placed> acked;  // J4, J8
  std::set<std::string> refused;                          // D4: payloads, for want of space
  Position trimmed;
  Tail tail;  // newest seen
  Term term;  // J5
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : world_(seed), crashes_(world_.random()), disk_(world_.random()) {
    if (Draw(2) == 0) {
      disk_.SetDirectWrites(Draw(2) == 0 ? static_cast<int64_t>(Draw(300))
                                         : sim::SimDisk::kAllDirectWrites);
    }
    options_.directory = "/data/journal";
    options_.segment_bytes = 4096 + 512 * Draw(Draw(16) == 0 ? 3000 : 60);
    options_.limits.unacknowledged_bytes_max = 2000 + Draw(100000);
    options_.limits.delivery = {.recent_bytes_max = 1 + Draw(20000),
                                .batch_bytes_max = 1 + Draw(20000)};
    options_.limits.block_bytes_max = 1000 + Draw(100000);
    options_.kept_segments_max = Draw(2) * Draw(4);
    options_.file_system = &disk_;
    options_.clock = &world_.clock();
    options_.random = &world_.random();
    world_.SetOnCrash([this](const std::string&, const sim::SimulatedCrash&) { crashed_ = true; });
  }
  ~Simulation() { Down(); }

  void Run(int rounds) {
    for (int round = 0; round < rounds && !::testing::Test::HasFailure(); ++round) {
      if (!Up()) {
        Down();
        Crash();
        continue;
      }
      if (Draw(2) == 0) crashes_.CrashRandomly(20 + Draw(300));
      int steps = static_cast<int>(Draw(400));
      for (int step = 0; step < steps && !crashed_; ++step) Act();
      crashes_.Disarm();
      Down();
      Crash();
    }
    crashes_.Disarm();
    is_calm_ = true;
    ASSERT_TRUE(Up());
    ASSERT_TRUE(world_.RunUntilIdle(1000000));
    // Everything that was acknowledged is there.
    for (const auto& [id, placed] : history_.acked) {
      if (placed.position <= history_.trimmed) continue;
      auto found = history_.delivered.find(placed.position);
      ASSERT_TRUE(found != history_.delivered.end()) << "acked " << placed.position << " is gone";
      EXPECT_EQ(found->second.origin, id.first);
      EXPECT_EQ(found->second.number, id.second);
      EXPECT_EQ(found->second.revision, placed.revision);
    }
    EXPECT_EQ(seen_.position, journal_->KnownTail().position);
  }

  uint64_t trace_hash() const { return world_.trace_hash(); }
  const History& history() const { return history_; }

 private:
  uint64_t Draw(uint64_t bound) { return sim::DrawBelow(world_.random(), bound); }

  bool Up() {
    crashed_ = false;
    executor_ = world_.NewExecutor("journal", "node");
    runner_ =
        world_.NewBlockingRunner("disk", absl::Microseconds(10), absl::Milliseconds(1), "node");
    side_runner_ = world_.NewBlockingRunner("side", absl::Microseconds(10),
                                            absl::Microseconds(50 << Draw(9)), "node");
    options_.executor = executor_.get();
    options_.runner = runner_.get();
    options_.side_runner = side_runner_.get();
    bool opened = world_.RunAsNode("node", [this] {
      auto journal = EmbeddedJournal::Open(options_);
      ASSERT_TRUE(journal.ok()) << journal.status();
      journal_ = *std::move(journal);
    });
    if (!opened || journal_ == nullptr) return false;
    Tail tail = journal_->KnownTail();
    EXPECT_GE(tail.position, history_.tail.position) << "confirmed entries were lost";
    EXPECT_GE(tail.revision, history_.tail.revision);
    origin_ = OriginId(world_.random().Next());
    next_number_ = 1;
    epoch_ = Epoch(0);
    Subscribe();
    Claim();
    return true;
  }

  void Subscribe() {
    // From the very beginning of what is left: everything is compared with what was seen before.
    Position from = history_.trimmed.Next();
    seen_ = {};
    seen_.position = from.Previous();
    seen_revision_known_ = false;
    auto subscription = journal_->Subscribe(from, {kPartition}, [this](auto b) { Take(*b); });
    ASSERT_TRUE(subscription.ok()) << subscription.status();
    subscription_ = *std::move(subscription);
  }

  void Take(const Batch& batch) {
    for (const Entry& entry : batch.entries) {
      ASSERT_EQ(entry.position, seen_.position.Next());
      ASSERT_GE(entry.term, seen_.term);
      ASSERT_FALSE(history_.refused.contains(std::string(entry.payload)))
          << "entry " << entry.position << " had been refused";
      if (seen_revision_known_) {
        ASSERT_EQ(entry.revision.value(), seen_.revision.value() + (entry.changes_keys ? 1 : 0));
      }
      if (entry.kind == EntryKind::kData) {
        // J7, seen from outside: the epoch is the newest claim before the entry.
        if (claim_seen_.has_value()) {
          ASSERT_EQ(entry.partitions[0].epoch.value(), *claim_seen_);
        }
      } else {
        claim_seen_ = entry.position.value();
      }
      History::Known known{entry.origin, entry.origin_number, entry.revision,
                           std::string(entry.payload)};
      auto [old, is_new] = history_.delivered.emplace(entry.position, known);
      ASSERT_TRUE(is_new ||
                  (old->second.origin == known.origin && old->second.number == known.number &&
                   old->second.revision == known.revision && old->second.payload == known.payload))
          << "entry " << entry.position << " changed";
      seen_.position = entry.position;
      seen_.revision = entry.revision;
      seen_.term = entry.term;
      seen_revision_known_ = true;
    }
    ASSERT_EQ(batch.tail.position, seen_.position);  // all entries name the partition
    // J4: what is told is durable.
    if (batch.tail.position > history_.tail.position) history_.tail = batch.tail;
    if (is_calm_ || Draw(3) > 0) subscription_->Acknowledge(batch.tail.position);
  }

  void Claim() {
    journal_->Claim(kPartition, origin_, [this](absl::StatusOr<Epoch> epoch) {
      if (epoch.ok()) epoch_ = *epoch;
    });
  }

  void Append() {
    if (epoch_ == Epoch(0)) return;
    Record record;
    record.changes_keys = Draw(4) > 0;
    record.partitions.push_back({kPartition, Draw(20) == 0 ? Epoch(epoch_.value() + 1) : epoch_});
    record.origin = origin_;
    record.origin_number =
        Draw(10) == 0 && next_number_ > 1 ? 1 + Draw(next_number_) : next_number_;
    record.payload = absl::StrCat(origin_.value(), ":", record.origin_number, ":", ++payloads_, ":",
                                  std::string(Draw(Draw(20) == 0 ? 20000 : 600), 'v'));
    auto id = std::make_pair(origin_, record.origin_number);
    bool wrong_epoch = record.partitions[0].epoch != epoch_;
    if (record.origin_number == next_number_ && !wrong_epoch) ++next_number_;
    const std::string payload = record.payload;
    journal_->Append(std::move(record), [this, id, payload](absl::StatusOr<Placed> placed) {
      if (absl::IsResourceExhausted(placed.status())) history_.refused.insert(payload);
      if (!placed.ok()) {
        // The numbers behind a refused one come again from there.
        if (id.first == origin_ && id.second < next_number_ && !history_.acked.contains(id)) {
          next_number_ = id.second;
        }
        return;
      }
      auto [first, is_new] = history_.acked.emplace(id, *placed);
      ASSERT_EQ(first->second.position, placed->position);
      ASSERT_EQ(first->second.revision, placed->revision);
      if (placed->position > history_.tail.position) {
        history_.tail.position = placed->position;
        history_.tail.revision = placed->revision;
      }
      Tail confirmed;
      journal_->ConfirmTail([&](absl::StatusOr<Tail> tail) { confirmed = *tail; });
      ASSERT_GE(confirmed.position, placed->position);
    });
  }

  void Act() {
    world_.RunAsNode("node", [this] {
      switch (Draw(40)) {
        case 0:
          epoch_ = Epoch(0);
          Claim();
          break;
        case 1:
          if (seen_.position.value() > 10) {
            Position up_to(seen_.position.value() - 10);
            if (up_to > history_.trimmed) history_.trimmed = up_to;
            journal_->Trim(up_to);
          }
          break;
        case 2:
          subscription_->Acknowledge(seen_.position);
          break;
        case 3:
          disk_.SetCapacityBytes(disk_.used_bytes() + Draw(8192));
          if (Draw(2) == 0) disk_.FillCopyOnWrite();
          break;
        case 4:
        case 5:
          disk_.ClearFaults();
          break;
        default:
          Append();
      }
    });
    uint64_t events = Draw(6);
    for (uint64_t i = 0; i < events && !crashed_; ++i) world_.RunOne();
  }

  void Down() {
    world_.KillNode("node");
    subscription_.reset();
    journal_.reset();
    executor_.reset();
    runner_.reset();
    side_runner_.reset();
  }
  void Crash() {
    disk_.ClearFaults();
    if (Draw(3) == 0) {
      disk_.ProcessDied();
    } else {
      disk_.Crash();
    }
    claim_seen_.reset();
  }

  sim::World world_;
  sim::ScopedCrashHandlers crashes_;
  sim::SimDisk disk_;
  EmbeddedJournalOptions options_;
  History history_;

  std::unique_ptr<Executor> executor_;
  std::unique_ptr<BlockingRunner> runner_;
  std::unique_ptr<BlockingRunner> side_runner_;
  std::unique_ptr<EmbeddedJournal> journal_;
  std::unique_ptr<Subscription> subscription_;
  bool crashed_ = false;
  bool is_calm_ = false;  // the end: no faults, and every batch is acknowledged at once
  OriginId origin_;
  uint64_t next_number_ = 1;
  uint64_t payloads_ = 0;
  Epoch epoch_;
  Tail seen_;
  bool seen_revision_known_ = false;
  std::optional<uint64_t> claim_seen_;
};

TEST(JournalCrashTest, AcknowledgedEntriesSurviveAnyCrash) {
  size_t acked = 0;
  const char* count = std::getenv("TIDEMARK_SEEDS");
  uint64_t seeds = count == nullptr ? 300 : std::strtoull(count, nullptr, 10);
  for (uint64_t seed = 1; seed <= seeds && !HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Simulation simulation(seed);
    simulation.Run(8);
    acked += simulation.history().acked.size();
  }
  EXPECT_GT(acked, seeds * 100);
}

TEST(JournalCrashTest, D0TheSameSeedGivesTheSameTrace) {
  Simulation first(42);
  first.Run(5);
  Simulation second(42);
  second.Run(5);
  EXPECT_EQ(first.trace_hash(), second.trace_hash());
}

}  // namespace
}  // namespace tidemark::journal
