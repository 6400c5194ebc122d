// The journal's directory: small files, segments, the chain over all blocks, what its entries say,
// and what the next start would do.
//
// Reads by the journal's own survey (src/journal/log_survey.h), so it says "damaged" exactly where
// a start refuses; beyond that it decodes the effects that replicas would apply. Used by one
// thread.
#pragma once

#include <memory>
#include <string>

#include "src/base/clock.h"
#include "src/base/file_system.h"
#include "src/inspect/directory_facts.h"
#include "src/inspect/part.h"

namespace tidemark::inspect {

// `directory` is <data-dir>/journal, or what --wal-dir said. `facts` is filled for the parts behind
// this one; nullptr: there are none.
std::unique_ptr<Part> MakeJournalPart(FileSystem& files, const Clock& clock, std::string directory,
                                      DirectoryFacts* facts = nullptr);

}  // namespace tidemark::inspect
