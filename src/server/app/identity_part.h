// Who the member of a data directory is, for `tidemark inspect`.
//
// Hides the identity file; the rest of it is opened by identity.h. Tells the journal's part who the
// member is. Used by one thread.
#pragma once

#include <memory>
#include <string>

#include "src/base/file_system.h"
#include "src/inspect/directory_facts.h"
#include "src/inspect/part.h"

namespace tidemark::server {

std::unique_ptr<inspect::Part> MakeIdentityPart(FileSystem& files, std::string data_dir,
                                                inspect::DirectoryFacts* facts);

}  // namespace tidemark::server
