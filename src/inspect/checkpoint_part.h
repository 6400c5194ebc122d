// The checkpoints' directory: whose it is, what stands in it for every partition, whether every
// record is what was written, and whether it fits the journal.
//
// Hides RocksDB, opened so that it cannot change anything. Opens and judges by the code that a
// start uses (src/kvstore/checkpoint, ReplicaStarter's rules); hashes are computed anew, without
// building a store, so that memory is needed for the keys only. Used by one thread.
#pragma once

#include <memory>
#include <string>

#include "src/base/file_system.h"
#include "src/inspect/directory_facts.h"
#include "src/inspect/part.h"

namespace tidemark::inspect {

// `directory` is <data-dir>/checkpoints. Comes behind the journal's part, whose facts it reads.
std::unique_ptr<Part> MakeCheckpointPart(FileSystem& files, std::string directory,
                                         DirectoryFacts* facts);

}  // namespace tidemark::inspect
