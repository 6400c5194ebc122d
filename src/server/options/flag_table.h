// Every flag that tidemark knows: etcd 3.7's, those older manifests still carry, and its own.
//
// Hides nothing: it is the one table that parsing, the environment, the config file, --help and the
// verdict on a value read. Immutable.
#pragma once

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tidemark::server {

enum class FlagType { kBool, kInt, kUint, kDuration, kString };

enum class Verdict {
  kUse,             // has an effect
  kIgnore,          // accepted; a value other than the default is worth a warning
  kIgnoreSilently,  // accepted without a word, as etcd does
  kRefuse,          // a value other than the default stops the start
  kReplaced,        // an older name: its value goes to `replacement`
};

struct FlagSpec {
  absl::string_view section;  // of --help; empty: not shown
  absl::string_view name;
  FlagType type = FlagType::kString;
  absl::string_view default_value;
  Verdict verdict = Verdict::kUse;
  absl::string_view help;
  // kReplaced: another flag's name, or "feature-gates:Gate", or "log-level:debug" (the value that a
  // true stands for).
  absl::string_view replacement = "";
};

absl::Span<const FlagSpec> FlagTable();
// nullptr when there is no such flag.
const FlagSpec* FindFlag(absl::string_view name);

}  // namespace tidemark::server
