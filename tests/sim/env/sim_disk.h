// A disk that forgets what was not synced, tears writes, fills up and fails.
//
// Fault model. A file has pages of 4 KiB; each is as the program wrote it and as the disk has it.
//  - SyncData makes the file's pages and size durable, SyncDirectory the entries of a directory
//    (and what those entries depend on). New directories are durable at once.
//  - Crash: every unsynced page, size and directory change is kept or lost on its own; unsynced
//    bytes may be torn (at a byte, or between sectors of 512) or turned to garbage. A rename is
//    kept or lost as a whole. Synced bytes never change, also when they share a page with unsynced
//    ones.
//  - ProcessDied: handles and locks end, all bytes stay (kill -9).
//  - A failed sync marks pages clean without writing them, as Linux does: a later sync succeeds
//    and the bytes are still not on the disk.
//  - A durable direct write is cut off anywhere by a crash or an error; once it has returned, its
//    sectors are durable, and nothing else.
//  - A full disk takes as many pages of a write as fit, then refuses. One that copies on write
//    refuses every other write, also of what was reserved, having taken none, some or all of it.
//
// Bound to the simulator's one thread. Handles opened before a crash answer every call with an
// error; the disk must outlive them.
//
// Invariants:
//  1. What was durable before a Crash is there afterwards; what was neither synced nor written is
//     not.
//  2. Same random numbers and same calls: same bytes.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "src/base/file_system.h"
#include "src/base/random.h"
#include "tests/sim/env/sim_inode.h"

namespace tidemark::sim {

class SimDisk : public FileSystem {
 public:
  // `random` decides what survives a crash; it must outlive the disk.
  explicit SimDisk(Random& random);
  ~SimDisk() override;
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  bool Exists(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::Status CreateDirectories(const std::string& directory) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& directory) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  absl::StatusOr<bool> IsLocked(const std::string& path) override;

  void Crash();  // draws the mode
  void Crash(CrashMode mode);
  void ProcessDied();

  // So many direct writes can be done (none unless said); the next one ends in the middle with
  // Unimplemented, and so do all others.
  void SetDirectWrites(int64_t writes) { direct_writes_left_ = writes; }
  static constexpr int64_t kAllDirectWrites = std::numeric_limits<int64_t>::max();

  // Faults; they last until ClearFaults. Counts are of calls that still succeed.
  void SetCapacityBytes(uint64_t capacity_bytes);
  void FillCopyOnWrite() { is_full_copy_on_write_ = true; }
  void FailReadsAfter(int64_t reads) { reads_left_ = reads; }
  void FailWritesAfter(int64_t writes) { writes_left_ = writes; }
  void FailSyncsAfter(int64_t syncs) { syncs_left_ = syncs; }
  void ClearFaults();
  // In what the program reads and in what the disk has. NotFound, OutOfRange.
  absl::Status FlipBit(const std::string& path, uint64_t offset, int bit);

  // What would be there if every unsynced thing were lost now: for checkers.
  std::map<std::string, std::string> DurableFiles() const;
  // That state as a disk of its own, to recover from while this one goes on.
  std::unique_ptr<SimDisk> CloneDurable() const;
  uint64_t used_bytes() const;
  int64_t syncs() const { return syncs_; }

 private:
  class SimFile;
  class SimLock;
  using Names = std::map<std::string, std::shared_ptr<SimInode>>;

  // An unsynced change of names: a creation adds, a removal erases, a rename does both.
  struct NameChange {
    std::string erased;
    std::string added;
    std::shared_ptr<SimInode> inode;

    bool Touches(const std::set<std::string>& paths) const;
    bool TouchesDirectory(const std::string& directory) const;
    void ApplyTo(Names& names) const;
  };

  bool IsDirectory(const std::string& path) const;
  absl::Status CheckParent(absl::string_view operation, const std::string& path) const;
  void Change(NameChange change);
  uint64_t FreeBytes() const;
  static bool TakeOne(int64_t& left);

  Random& random_;
  Names names_;
  Names durable_names_;
  std::vector<NameChange> unsynced_changes_;
  std::set<std::string> directories_;
  std::set<std::string> locked_;
  uint64_t incarnation_ = 0;  // handles of an earlier one are dead

  int64_t direct_writes_left_ = 0;
  uint64_t capacity_bytes_;
  bool is_full_copy_on_write_ = false;
  int64_t reads_left_;
  int64_t writes_left_;
  int64_t syncs_left_;
  int64_t syncs_ = 0;
};

}  // namespace tidemark::sim
