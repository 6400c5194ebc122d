// What is said about one part of a data directory: facts for everybody, findings for whoever must
// decide something.
//
// Parts hide where they look and how: who the member is, the journal, the checkpoints, the memory
// on tmpfs. What one has to know of another goes through directory_facts.h. The command puts the
// list together (src/server/app/inspect_command.cc). Text and JSON need no change for a new part.
// Used by one thread.
//
// Invariant: a part opens files for reading only, takes no lock, and creates nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace tidemark::inspect {

struct Finding {
  enum class Kind {
    kNote,     // worth knowing; the next start copes with it
    kDamage,   // something that was there is not, or cannot be trusted
    kUnknown,  // nothing can be said: not readable, or from a newer version
  };
  Kind kind = Kind::kNote;
  std::string text;
  std::string file;                // may be empty
  std::optional<uint64_t> offset;  // in the file
};

struct PartReport {
  std::string name;
  nlohmann::ordered_json facts = nlohmann::ordered_json::object();
  std::vector<Finding> findings;

  void Add(Finding::Kind kind, std::string text, std::string file = "",
           std::optional<uint64_t> offset = std::nullopt) {
    findings.push_back({kind, std::move(text), std::move(file), offset});
  }
};

class Part {
 public:
  virtual ~Part() = default;
  virtual PartReport Inspect() = 0;
  // Held by the process that works with this part; empty when there is none.
  virtual std::string lock_path() const { return ""; }
};

}  // namespace tidemark::inspect
