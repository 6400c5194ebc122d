// The machine's files for a RocksDB that must not change anything: reading works, everything that
// would create, write, rename, remove or lock is refused before it reaches the disk.
// Thread-safe; stateless.
#pragma once

#include <string>

#include "src/kvstore/checkpoint/gated_file_system.h"

namespace tidemark::kvstore {

class ReadOnlyFileSystem : public GatedFileSystem {
 public:
  using GatedFileSystem::GatedFileSystem;
  const char* Name() const override { return "TidemarkReadOnlyFileSystem"; }

 protected:
  rocksdb::IOStatus MayChange(const std::string& path) override {
    return rocksdb::IOStatus::IOError("open for reading only", path);
  }
};

}  // namespace tidemark::kvstore
