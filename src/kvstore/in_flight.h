// Who must wait for whom: writes on their way through the journal, holds, and those that wait.
//
// Hides the conflict rules of design note "Holds" and the queue. A plain put waits only for holds
// and for waiting dependents of its key; a write that judges a key waits while a write to that key
// is in flight; a hold waits for both. First come, first served per conflict: a newcomer never
// overtakes a waiting one that it conflicts with, so nobody starves.
// Sequence-bound.
//
// Invariants:
//  1. Nothing enters while it conflicts with something in flight, held, or waiting before it.
//  2. Adding and removing footprints is symmetric: an idle partition's sets are empty.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "src/base/ids.h"
#include "src/mvcc/key_range.h"

namespace tidemark::kvstore {

// Views belong to the write or hold, which outlives its footprint's stay in any set.
struct Footprint {
  absl::InlinedVector<mvcc::KeyRangeView, 1> reads;  // judged when evaluated
  absl::InlinedVector<mvcc::KeyRangeView, 1> writes;
  absl::InlinedVector<LeaseId, 1> attaches;
  absl::InlinedVector<LeaseId, 1> revokes;
};

// A multiset of footprints that can be asked for conflicts. Single keys are found by hash.
class ConflictSet {
 public:
  void Add(const Footprint& footprint);
  // REQUIRES that the same footprint (the same views) was added.
  void Remove(const Footprint& footprint);

  // What `footprint` judges is being changed.
  bool HitsReads(const Footprint& footprint) const;
  // What `footprint` changes is being judged or changed.
  bool HitsWrites(const Footprint& footprint) const;
  bool Hits(const Footprint& footprint) const {
    return !empty() && (HitsReads(footprint) || HitsWrites(footprint));
  }
  bool WritesKey(absl::string_view key) const;
  bool UsesKey(absl::string_view key) const;  // judges or changes it
  bool empty() const { return size_ == 0; }

 private:
  struct Uses {
    int reads = 0;
    int writes = 0;
  };
  struct RangeUse {
    mvcc::KeyRangeView range;
    bool is_write = false;
  };
  void Change(const mvcc::KeyRangeView& range, bool is_write, int by);
  static void ChangeLease(absl::flat_hash_map<LeaseId, int>* leases, LeaseId id, int by);
  bool HitsRange(const mvcc::KeyRangeView& range, bool count_reads) const;

  size_t size_ = 0;  // footprints
  absl::flat_hash_map<std::string, Uses> keys_;
  std::vector<RangeUse> ranges_;
  absl::flat_hash_map<LeaseId, int> attaches_;
  absl::flat_hash_map<LeaseId, int> revokes_;
};

// Something that wants to enter. Lives until it has entered.
class Entrant {
 public:
  explicit Entrant(bool is_hold) : is_hold_(is_hold) {}
  virtual ~Entrant() = default;
  Entrant(const Entrant&) = delete;
  Entrant& operator=(const Entrant&) = delete;

  // Nothing conflicts: evaluate at once, or take the hold. May end the entrant's life.
  virtual void Enter() = 0;
  bool is_hold() const { return is_hold_; }

  Footprint footprint;

 private:
  const bool is_hold_;
};

class InFlight {
 public:
  // Enters inline when nothing conflicts, otherwise later from Pump. Of very many ranges the
  // footprint keeps only their hull.
  void Arrive(Entrant* entrant);

  void AddAppended(const Footprint& footprint) { appended_.Add(footprint); }
  void RemoveAppended(const Footprint& footprint);
  void AddHold(const Footprint& footprint) { holds_.Add(footprint); }
  void RemoveHold(const Footprint& footprint);
  // Of a hold that was added and waits for nothing any more.
  void AddGiven(const Footprint& footprint) { given_.Add(footprint); }
  void RemoveGiven(const Footprint& footprint) { given_.Remove(footprint); }
  // Something on its way, or a given hold, has to do with `key`.
  bool IsBusy(absl::string_view key) const;

  // While paused nothing enters.
  void Pause() { paused_ = true; }
  void Resume();
  // Lets in who no longer has to wait. Cheap when nothing ended since the last call.
  void Pump();

  size_t waiting_count() const { return waiters_.size(); }
  bool idle() const {
    return waiters_.empty() && appended_.empty() && holds_.empty() && given_.empty() &&
           waiting_.empty();
  }

 private:
  bool MustWait(const Entrant& entrant, const ConflictSet& waiting_before) const;

  ConflictSet appended_;  // writes handed to the journal and not yet applied; they judge no more
  ConflictSet holds_;
  ConflictSet given_;    // of holds_
  ConflictSet waiting_;  // the footprints of waiters_
  std::list<Entrant*> waiters_;
  bool paused_ = false;
  bool something_ended_ = false;
  bool pumping_ = false;
};

}  // namespace tidemark::kvstore
