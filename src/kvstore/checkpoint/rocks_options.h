// How RocksDB is set up for checkpoints. Stateless functions.
#pragma once

#include "rocksdb/options.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"

namespace tidemark::kvstore {

// `env` must outlive what is opened with it.
rocksdb::DBOptions MakeDbOptions(const RocksCheckpointOptions& options, rocksdb::Env* env);
rocksdb::ColumnFamilyOptions MakeColumnFamilyOptions(const RocksCheckpointOptions& options);
rocksdb::IngestExternalFileOptions MakeIngestOptions();
// A little at a time, as tables are written.
std::unique_ptr<rocksdb::RateLimiter> MakeReadBackLimiter(const RocksCheckpointOptions& options);
rocksdb::ReadOptions MakeReadOptions(const RocksCheckpointOptions& options);

}  // namespace tidemark::kvstore
