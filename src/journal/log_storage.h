// A durable sequence of opaque blocks on one machine.
//
// Hides files. Two implementations: SegmentedLog (files) and MemoryLog (tests: forgets what was not
// synced). Used by one thread at a time; every call may block on a disk.
//
// Invariants:
//  1. Blocks are contiguous in positions; what was read back is what was appended, or an error.
//  2. After Sync all appended blocks survive a crash. At most one block is appended between syncs.
//  3. An append that was refused left nothing behind that a later start could find.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/base/bytes.h"
#include "src/base/ids.h"

namespace tidemark::journal {

// A block to append: its body is the runs one after another, not empty.
struct LogBlock {
  Position first;
  uint32_t entry_count = 0;
  Term term;
  std::vector<absl::string_view> body;

  Position last() const { return Position(first.value() + entry_count - 1); }
};

// A block read back, verified.
struct StoredBlock {
  Position first;
  uint32_t entry_count = 0;
  Term term;
  SharedBytes body;

  Position last() const { return Position(first.value() + entry_count - 1); }
};

inline constexpr uint64_t kBlockBodyBytesMax = uint64_t{1} << 30;

class LogStorage {
 public:
  virtual ~LogStorage() = default;

  // The first position that is still there (last() + 1 when empty), and the newest.
  virtual Position first() const = 0;
  virtual Position last() const = 0;

  // REQUIRES block.first == last() + 1. ResourceExhausted: no space, nothing happened, a later
  // append may succeed. Unknown: no space, and it could not be undone yet either: should the
  // process die before the next successful append, the next one may find the block, or not.
  virtual absl::Status Append(const LogBlock& block) = 0;
  // Returns only when everything appended is durable; ends the process when the disk cannot say so.
  virtual void Sync() = 0;
  // False when an append made its block durable at once, so that Sync has little to do.
  virtual bool HasUnsynced() const = 0;

  // Whole blocks from the one that holds `from`, at least one, about `size_bytes` altogether; none
  // when from == last() + 1. OutOfRange for trimmed and future positions; DataLoss for damage.
  virtual absl::StatusOr<std::vector<StoredBlock>> Read(Position from, size_t size_bytes) = 0;

  // True when Trim(up_to) would free space.
  virtual bool CanTrim(Position up_to) const = 0;
  // Forgets blocks at or before `up_to`, as far as that is convenient. What is left to do for it
  // may take long, and must not be done on the way of appends: it is called once, from any thread,
  // while the directory is still owned. Left undone, a later start finds the blocks again. One that
  // failed for want of space is taken up by the next, also of a Trim that forgets nothing.
  using Removal = absl::AnyInvocable<absl::Status()>;
  virtual Removal Trim(Position up_to) = 0;

  // After a Sync: what would make coming appends cheaper, or nullptr. Done, or not, as a removal
  // is.
  using Preparation = absl::AnyInvocable<void()>;
  virtual Preparation Prepare() { return nullptr; }

  // What would free the space that is kept for later use, as others found none on this disk; or
  // nullptr. Done, or not, as a removal is.
  virtual Preparation GiveSpaceBack() { return nullptr; }

  // What is better done once appends pause than after each: nothing is left of it, or do it now.
  virtual bool IsSettled() const { return true; }
  virtual void Settle() {}

  virtual uint64_t size_bytes() const = 0;
};

}  // namespace tidemark::journal
