// The journal's rules as a deterministic state machine over committed blocks: which number an
// entry gets, whether its epochs are current, whether it was seen before.
//
// Hides epochs, origins and remembered answers. Knows nothing of disks, peers, time or threads.
// A leader opens a block, adds what waits, and either commits or abandons it; everybody else (and
// every restart) applies committed entries. Both ways lead to the same state.
// Sequence-bound.
//
// Invariants:
//  1. Committed state is a function of the committed entries alone.
//  2. J7: no entry gets a number under an epoch that is not its partition's newest claim, claims
//     earlier in the open block included.
//  3. J8: of each origin, numbers 1, 2, 3, ... are ordered in this sequence, each at most once. A
//     refused append does not use up its number: those sent behind it are refused (Aborted) until
//     the number comes again.
//  4. Origins, remembered answers and partitions are bounded (Limits).
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "src/journal/journal.h"

namespace tidemark {
class ByteReader;
}  // namespace tidemark

namespace tidemark::journal {

class Sequencer {
 public:
  struct Limits {
    // Beyond it the origin that was silent for the longest time is forgotten; if it comes back, its
    // next append is Aborted.
    size_t origins_max = 1024;
    // Answers remembered for repeats, over all origins.
    size_t answers_max = 65536;
    size_t partitions_max = 65536;
  };

  Sequencer() = default;
  explicit Sequencer(Limits limits) : limits_(limits) {}

  // The newest committed entry.
  const Tail& tail() const { return tail_; }
  Epoch EpochOf(PartitionId partition) const;
  const absl::btree_map<PartitionId, Epoch>& epochs() const { return epochs_; }
  struct OriginSummary {
    OriginId id;
    uint64_t last_number = 0;
    Position last_position;
  };
  std::vector<OriginSummary> Origins() const;  // by id

  struct Numbered {
    Placed placed;
    bool is_repeat = false;  // of a committed entry or of one in the open block: nothing was added
  };

  // Leader's way. REQUIRES no open block.
  void OpenBlock(Term term);
  // Judges and numbers one record behind those already in the open block. On success, and unless it
  // is a repeat, `entry` is filled in, but for its payload.
  absl::StatusOr<Numbered> Add(EntryKind kind, const Record& record, Entry* entry);
  // Ends the open block: its entries are durable (and now applied), or do not exist.
  void CommitBlock();
  void AbandonBlock();

  // Follower's way. DataLoss if `entry` cannot follow what was applied before.
  absl::Status Apply(const Entry& entry);

  // The whole committed state, and back. Input of Load is hostile.
  std::string Save() const;
  static absl::StatusOr<Sequencer> Load(absl::string_view saved, Limits limits);

  // Ends the process if the state contradicts itself.
  void CheckInvariants() const;

 private:
  struct Origin {
    uint64_t last_number = 0;
    Position last_position;
    // Answers of the newest numbers, the newest last.
    std::deque<Placed> answers;
  };
  // The part of an entry that the state depends on.
  struct Staged {
    EntryKind kind;
    PartitionId claimed;
    OriginId origin;
    uint64_t origin_number;
    Placed placed;
  };
  struct OpenedBlock {
    Tail tail;
    std::vector<Staged> staged;
    absl::flat_hash_map<OriginId, uint64_t> last_numbers;
    absl::flat_hash_map<PartitionId, Epoch> claims;
  };

  static absl::StatusOr<Origin> LoadOrigin(const Tail& tail, ByteReader* in);
  absl::Status CheckEpochs(const Record& record) const;
  absl::StatusOr<Numbered> NumberData(const Record& record);
  absl::StatusOr<Numbered> FindRepeat(const Record& record) const;
  uint64_t LastNumber(OriginId origin) const;
  void ApplyStaged(const Staged& staged);
  void RememberAnswer(const Staged& staged);
  void ForgetOldestAnswer();
  void ForgetOldestOrigin();

  Limits limits_;
  Tail tail_;
  absl::btree_map<PartitionId, Epoch> epochs_;
  absl::flat_hash_map<OriginId, Origin> origins_;
  std::deque<OriginId> answer_order_;  // whose answer is the oldest, next oldest, ...
  bool is_open_ = false;
  OpenedBlock open_;
};

}  // namespace tidemark::journal
