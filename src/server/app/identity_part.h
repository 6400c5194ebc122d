// Who the member of a data directory is, for `tidemark inspect`.
//
// Hides the identity file; the rest of it is opened by identity.h. Used by one thread.
#pragma once

#include <memory>
#include <string>

#include "src/base/file_system.h"
#include "src/inspect/part.h"

namespace tidemark::server {

std::unique_ptr<inspect::Part> MakeIdentityPart(FileSystem& files, std::string data_dir);

}  // namespace tidemark::server
