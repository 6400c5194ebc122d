// The memory that a former process left on tmpfs: what the next start would make of it.
//
// Hides that the store's own adoption runs over private copies of the regions: it says what a start
// will say, and nothing it marks or discards reaches a file. Memory owns nothing durable, so
// nothing here is damage: at worst the next start is cold. Needs the memory of an index, one
// partition at a time. Used by one thread.
#pragma once

#include <memory>
#include <string>

#include "src/base/file_system.h"
#include "src/inspect/directory_facts.h"
#include "src/inspect/part.h"

namespace tidemark::inspect {

// `directory` is what --memory-dir is, or would be. Comes behind the checkpoints' part. Looks at
// nothing while somebody owns the directory: what changes meanwhile cannot be checked.
std::unique_ptr<Part> MakeMemoryPart(FileSystem& files, std::string directory,
                                     const DirectoryFacts* facts);

}  // namespace tidemark::inspect
