// Checkpoints in RocksDB, on a real disk.
//
// Hides RocksDB, files and their layout: docs/checkpoint-format.md. In short: a whole checkpoint is
// a column family of its own; tables are built in a scratch directory and enter it together with
// the partition's header (default column family) in one atomic step; then the column family before
// it is dropped. An increment adds tables to the newest column family. No write-ahead log.
//
// Space of removed records is given back by the next whole checkpoint, not by compaction: RocksDB
// only merges the small tables of removals among themselves, in the background, at a bounded rate.
//
// Thread class and status codes: checkpoint_store.h.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "src/base/file_system.h"
#include "src/kvstore/checkpoint/checkpoint_store.h"

namespace rocksdb {
class FileSystem;
}

namespace tidemark::kvstore {

struct RocksCheckpointOptions {
  enum class Compression { kNone, kLz4, kZstd };

  std::string directory;              // created when missing; owned by one process at a time
  uint64_t store = 0;                 // identity of the journal that the checkpoints belong to
  FileSystem* file_system = nullptr;  // for directories and leftovers; outlives the store

  Compression compression = Compression::kNone;  // of tables written from now on
  uint64_t table_bytes = uint64_t{128} << 20;    // a table file is closed at about this size
  // Whoever reads a part reserves memory for it: many small increments are one part together.
  uint64_t part_bytes_min = uint64_t{16} << 20;
  uint64_t readahead_bytes = uint64_t{4} << 20;
  uint64_t compaction_bytes_per_second = uint64_t{32} << 20;
  // Of tables just written: usually, and when the journal hurries.
  uint64_t read_back_bytes_per_second = uint64_t{16} << 20;
  uint64_t hurried_read_back_bytes_per_second = uint64_t{200} << 20;
  int background_threads = 2;

  // Nothing is lost with them, since the journal has everything: checkpoints that cannot be opened
  // are set aside, and new ones begun. They are as well where there are copies of headers.
  bool may_begin_anew = false;

  // What RocksDB uses instead of the machine's files: tests' faults. nullptr: the machine's.
  std::shared_ptr<rocksdb::FileSystem> rocks_file_system;
};

// The store's identity does not matter to whoever only looks.
inline constexpr uint64_t kAnyCheckpointStore = 0;

// Removes what a crash left unfinished. Does not read records. Damaged tables of
// records do no harm to other partitions: see KnownDamage.
absl::StatusOr<std::unique_ptr<CheckpointStore>> OpenRocksCheckpointStore(
    const RocksCheckpointOptions& options);

// What lies in `options.directory`, for whoever may change nothing: no lock is taken, no file is
// created, written or removed (every attempt is refused), and both Begin calls answer
// FailedPrecondition. Refuses what OpenRocksCheckpointStore refuses, in the same words, except for
// what only writing could find out. NotFound: it was never completely set up, which a start does.
// `options.store` may be kAnyCheckpointStore. `*store` gets the identity found, 0 when none.
// A process that writes meanwhile may take files away: DataLoss then proves nothing.
absl::StatusOr<std::unique_ptr<CheckpointStore>> OpenRocksCheckpointStoreReadOnly(
    const RocksCheckpointOptions& options, uint64_t* store);

}  // namespace tidemark::kvstore
