// How RocksDB is set up for checkpoints. Stateless functions.
#pragma once

#include "rocksdb/options.h"
#include "src/kvstore/checkpoint/read_back_pace.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"

namespace tidemark::kvstore {

// `env` must outlive what is opened with it.
rocksdb::DBOptions MakeDbOptions(const RocksCheckpointOptions& options, rocksdb::Env* env);
rocksdb::ColumnFamilyOptions MakeColumnFamilyOptions(const RocksCheckpointOptions& options);
rocksdb::IngestExternalFileOptions MakeIngestOptions();
rocksdb::ReadOptions MakeReadOptions(const RocksCheckpointOptions& options);
// Of tables just written: a little at a time, as they were written.
rocksdb::ReadOptions MakeReadBackOptions(const RocksCheckpointOptions& options);
ReadBackPace::Rates ReadBackRates(const RocksCheckpointOptions& options);

}  // namespace tidemark::kvstore
