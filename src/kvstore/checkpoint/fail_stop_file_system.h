// What RocksDB writes through: after a failed sync nothing is written, renamed or removed any more.
//
// A failed sync leaves in doubt what the disk has, and trying again proves nothing: the kernel may
// have marked the lost pages clean. RocksDB would carry on with new files and remove those that it
// believes unused, although the manifest on disk may already name them. Frozen from the moment of
// the failure, the directory opens again as it was before or as it would have been after.
// Reading goes on.
//
// The same after any failed write or rename, except for lack of space: a write that found none was
// cut short, which RocksDB and its recovery understand. A sync that found no space does freeze,
// except below `scratch_directory`: those files become part of the store only by being linked
// later, and a file whose sync failed is thrown away.
// Tables are opened only after table_tail.h found their ends undamaged, and the kernel does not
// read ahead in them.
// Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "rocksdb/file_system.h"
#include "src/base/mutex.h"
#include "src/kvstore/checkpoint/gated_file_system.h"

namespace tidemark::kvstore {

class FailStopFileSystem : public GatedFileSystem {
 public:
  FailStopFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target,
                     std::string scratch_directory);

  bool is_broken() const { return is_broken_.load(std::memory_order_acquire); }
  // OK, or Internal with what failed and what to do.
  absl::Status status() const;
  // For whoever finds out in another way that the state on disk is in doubt.
  void Break(const std::string& what);

  const char* Name() const override { return "TidemarkFailStopFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 protected:
  rocksdb::IOStatus MayChange(const std::string& /*path*/) override { return Refusal(); }
  void Guard(const std::string& path, std::unique_ptr<rocksdb::FSWritableFile>* file) override;
  void Guard(const std::string& path, std::unique_ptr<rocksdb::FSDirectory>* directory) override;

 private:
  class GuardedFile;
  class GuardedDirectory;

  // An error once the file system is broken.
  rocksdb::IOStatus Refusal() const;
  // Break the file system when they must (above); give `result` back.
  rocksdb::IOStatus JudgeSync(rocksdb::IOStatus result, const std::string& path);
  rocksdb::IOStatus JudgeWrite(rocksdb::IOStatus result, const std::string& path);

  const std::string scratch_directory_;
  std::atomic<bool> is_broken_{false};
  mutable Mutex mutex_;
  std::string reason_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::kvstore
