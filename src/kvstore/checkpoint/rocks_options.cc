#include "src/kvstore/checkpoint/rocks_options.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "rocksdb/cache.h"
#include "rocksdb/env.h"
#include "rocksdb/rate_limiter.h"
#include "rocksdb/table.h"
#include "src/base/check.h"
#include "src/base/log.h"
#include "src/kvstore/checkpoint/table_tail.h"

namespace tidemark::kvstore {
namespace {

constexpr uint64_t kMebibyte = uint64_t{1} << 20;
// Whatever is written or read in one go stands before the journal's next sync in the disk's queue.
constexpr uint64_t kAtOnceBytes = uint64_t{256} << 10;

// RocksDB's warnings and errors as lines of our log. Its own log file would end the process on a
// full disk: a line after one that found no space is an assertion in Debian's build.
class RocksLog : public rocksdb::Logger {
 public:
  RocksLog() : Logger(rocksdb::WARN_LEVEL) {}

  using Logger::Logv;
  void Logv(rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < rocksdb::WARN_LEVEL || level == rocksdb::HEADER_LEVEL) return;
    char line[1024];
    std::vsnprintf(line, sizeof(line), format, arguments);
    // Its warnings are for those who know RocksDB; what concerns an operator comes as a Status.
    if (level == rocksdb::WARN_LEVEL) {
      TLOG(kDebug, "rocksdb", {{"line", absl::string_view(line)}});
    } else {
      TLOG(kWarn, "rocksdb", {{"line", absl::string_view(line)}});
    }
  }
};

rocksdb::CompressionType TypeOf(RocksCheckpointOptions::Compression compression) {
  switch (compression) {
    case RocksCheckpointOptions::Compression::kNone:
      return rocksdb::kNoCompression;
    case RocksCheckpointOptions::Compression::kLz4:
      return rocksdb::kLZ4Compression;
    case RocksCheckpointOptions::Compression::kZstd:
      return rocksdb::kZSTD;
  }
  return rocksdb::kNoCompression;
}

}  // namespace

rocksdb::DBOptions MakeDbOptions(const RocksCheckpointOptions& options, rocksdb::Env* env) {
  rocksdb::DBOptions db;
  db.env = env;
  db.paranoid_checks = true;
  db.verify_sst_unique_id_in_manifest = true;
  db.max_background_jobs = options.background_threads;
  db.max_subcompactions = 1;
  db.max_open_files = -1;  // tables are large and few; a missing one is found at open
  db.max_file_opening_threads = options.background_threads;
  db.rate_limiter.reset(
      rocksdb::NewGenericRateLimiter(static_cast<int64_t>(options.compaction_bytes_per_second)));
  // A table goes to the disk as it is written.
  db.bytes_per_sync = kAtOnceBytes;
  db.strict_bytes_per_sync = true;
  db.writable_file_max_buffer_size = kAtOnceBytes;
  // Nor is it read further ahead by compactions (FailStopFileSystem::NewRandomAccessFile).
  db.access_hint_on_compaction_start = rocksdb::DBOptions::NONE;
  db.compaction_readahead_size = kAtOnceBytes;
  db.max_manifest_file_size = 16 * kMebibyte;
  db.avoid_flush_during_shutdown = true;
  db.max_bgerror_resume_count = 0;  // see BackgroundErrorListener
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.info_log = std::make_shared<RocksLog>();
  db.info_log_level = rocksdb::WARN_LEVEL;
  return db;
}

rocksdb::ColumnFamilyOptions MakeColumnFamilyOptions(const RocksCheckpointOptions& options) {
  rocksdb::ColumnFamilyOptions family;
  family.compression = TypeOf(options.compression);
  family.write_buffer_size = kMebibyte;  // never written to
  family.paranoid_file_checks = true;
  family.target_file_size_base = options.table_bytes;
  // Levels of fixed size: an increment's removals stay in small tables above the base instead of
  // making compaction rewrite it.
  family.level_compaction_dynamic_level_bytes = false;
  family.ttl = 0;
  family.periodic_compaction_seconds = 0;

  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kMebibyte);
  table.block_size = 64 << 10;
  table.format_version = kTableFormatVersion;
  table.checksum = rocksdb::kCRC32c;  // so that table_tail.h can check it
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

rocksdb::IngestExternalFileOptions MakeIngestOptions() {
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = true;
  ingest.write_global_seqno = false;
  ingest.allow_blocking_flush = false;  // nothing is ever in a memtable
  return ingest;
}

ReadBackPace::Rates ReadBackRates(const RocksCheckpointOptions& options) {
  return {options.read_back_bytes_per_second, options.hurried_read_back_bytes_per_second,
          kAtOnceBytes};
}

rocksdb::ReadOptions MakeReadOptions(const RocksCheckpointOptions& options) {
  rocksdb::ReadOptions read;
  read.verify_checksums = true;  // so that RocksDB never parses damaged blocks
  read.fill_cache = false;
  read.total_order_seek = true;
  read.readahead_size = options.readahead_bytes;
  return read;
}

rocksdb::ReadOptions MakeReadBackOptions(const RocksCheckpointOptions& options) {
  rocksdb::ReadOptions read = MakeReadOptions(options);
  read.readahead_size = kAtOnceBytes;
  return read;
}

}  // namespace tidemark::kvstore
