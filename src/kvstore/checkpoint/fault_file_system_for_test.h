// The machine's files as RocksDB sees them, with power losses and faults to order.
//
// For tests only. Syncs are remembered, not done; a power loss takes unsynced bytes and names away.
// Every file keeps a second name in a folder of its own, so that lost names can be put back.
// Thread-safe.
//
// Fault model: a sync of a file makes its bytes durable, one of a directory its names. A failed
// sync takes the unsynced bytes away at once and later syncs succeed, as Linux may do. A write that
// finds no space leaves its first half.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "rocksdb/file_system.h"
#include "src/base/mutex.h"
#include "src/base/random.h"
#include "src/kvstore/checkpoint/gated_file_system.h"

namespace tidemark::kvstore {

class FaultFileSystem : public GatedFileSystem {
 public:
  // Keeps second names in `keep_directory`, which exists and is on the same disk.
  explicit FaultFileSystem(std::string keep_directory);

  // Counts are of calls that still succeed; each fault strikes once.
  void FailSyncAfter(int64_t syncs);
  // Strikes every later write too, and new files and links, until ClearFaults.
  void FillDiskAfter(int64_t writes, bool by_quota = false);
  // One bit of the write to a table (*.sst) after so many reaches the disk turned over.
  void TurnBitAfter(int64_t table_writes);
  // From then on every change is refused: what a process that is gone would do.
  void StopAfter(int64_t changes);
  void ClearFaults();
  bool was_struck() const;
  // Files that were to be read from the disk, whatever the kernel's cache holds.
  std::set<std::string> forgotten() const;
  // Tables that were closed so far: those that the kernel might read ahead in, and all.
  std::set<std::string> read_ahead() const;
  std::set<std::string> closed() const;

  // REQUIRES: nobody has files open. Unsynced names of each directory, and unsynced bytes of each
  // file, are kept or lost as drawn.
  void LosePower(Random& random);

  const char* Name() const override { return "TidemarkFaultFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;

 protected:
  rocksdb::IOStatus MayChange(const std::string& /*path*/) override { return Change(); }
  void Guard(const std::string& path, std::unique_ptr<rocksdb::FSWritableFile>* file) override;
  void Guard(const std::string& path, std::unique_ptr<rocksdb::FSDirectory>* directory) override;

 private:
  class FaultFile;
  class FaultDirectory;
  class NotedFile;
  struct Inode {
    std::string kept_path;
    uint64_t synced_bytes = 0;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  // An error when a fault strikes now.
  rocksdb::IOStatus Change();
  rocksdb::IOStatus SyncFile(const std::shared_ptr<Inode>& inode);
  rocksdb::IOStatus SyncDirectory(const std::string& directory);
  bool SpaceIsLeft();
  bool IsFull();
  bool BitTurns();
  rocksdb::IOStatus NoSpace() const;
  static bool TakeOne(int64_t& left);
  // Files of before are taken in as they are, durably.
  std::shared_ptr<Inode> InodeOf(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LoseUnsyncedBytes(const Inode& inode);

  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  const std::string keep_directory_;
  mutable Mutex mutex_;
  uint64_t next_inode_ ABSL_GUARDED_BY(mutex_) = 1;
  Names names_ ABSL_GUARDED_BY(mutex_);
  Names durable_names_ ABSL_GUARDED_BY(mutex_);
  int64_t syncs_left_ ABSL_GUARDED_BY(mutex_) = kNever;
  int64_t writes_left_ ABSL_GUARDED_BY(mutex_) = kNever;
  int64_t table_writes_left_ ABSL_GUARDED_BY(mutex_) = kNever;
  int64_t changes_left_ ABSL_GUARDED_BY(mutex_) = kNever;
  bool by_quota_ ABSL_GUARDED_BY(mutex_) = false;
  bool was_struck_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::string> forgotten_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> read_ahead_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> closed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::kvstore
