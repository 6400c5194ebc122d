// Where flag values come from: the command line, the environment, a config file.
//
// Hides Go's flag syntax, etcd's names of variables and the YAML layout (contract 10.1). A parser
// of our own, because Go's rules differ from getopt's in ways a library cannot be talked into:
// one dash and two mean the same for long names, `--bool value` does not take the value, parsing
// stops at the first word that is no flag, and exit codes depend on what was wrong.
// Pure functions; no process state is read here.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tidemark::server {

// Values as text, already checked against their flags' types, under today's names.
class FlagValues {
 public:
  void Set(absl::string_view name, std::string value) {
    values_.insert_or_assign(std::string(name), std::move(value));
  }
  bool IsSet(absl::string_view name) const { return values_.count(std::string(name)) > 0; }
  // The value, or the flag's default. CHECKs that the flag exists.
  std::string Get(absl::string_view name) const;
  const std::map<std::string, std::string>& values() const { return values_; }

 private:
  std::map<std::string, std::string> values_;
};

struct CommandLine {
  FlagValues values;
  std::string stray;  // first argument that is no flag; empty if none
};

// Errors are what etcd answers with usage and exit code 2 (unknown flag, bad value). `help` and
// `version` are ordinary values here.
absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<const std::string> arguments);

// Adds the ETCD_* variables ("NAME=value") to `values`; an error is fatal. `warnings` gets the
// variables that nobody knows.
absl::Status AddEnvironment(absl::Span<const std::string> environment, FlagValues& values,
                            std::vector<std::string>& warnings);

// `text` is YAML or JSON. Keys that nobody knows are accepted.
absl::StatusOr<FlagValues> ParseConfigFile(const std::string& text);

// --- Go's spellings of values ---
absl::StatusOr<bool> ParseGoBool(absl::string_view text);
absl::StatusOr<int64_t> ParseGoInt(absl::string_view text);
absl::StatusOr<uint64_t> ParseGoUint(absl::string_view text);

}  // namespace tidemark::server
