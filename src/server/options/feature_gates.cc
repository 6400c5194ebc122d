#include "src/server/options/feature_gates.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "src/server/options/flag_sources.h"

namespace tidemark::server {
namespace {

using Gates = std::map<std::string, bool>;

struct FeatureGate {
  absl::string_view name;
  bool is_beta;  // else alpha
  bool is_on;
};
constexpr FeatureGate kFeatureGates[] = {
    {"StopGRPCServiceOnDefrag", false, false},
    {"InitialCorruptCheck", false, false},
    {"CompactHashCheck", false, false},
    {"LeaseCheckpoint", false, false},
    {"LeaseCheckpointPersist", false, false},
    {"SetMemberLocalAddr", false, false},
    {"PriorityRequest", false, false},
    {"FastLeaseKeepAlive", true, true},
    {"TxnModeWriteWithSharedBuffer", true, true},
};

bool IsGroup(absl::string_view name) { return name == "AllAlpha" || name == "AllBeta"; }

Gates Defaults() {
  Gates gates;
  for (const FeatureGate& gate : kFeatureGates) gates[std::string(gate.name)] = gate.is_on;
  return gates;
}

absl::StatusOr<Gates> ReadItems(const std::vector<std::string>& items, const Gates& known) {
  Gates given;
  for (const std::string& item : items) {
    const std::vector<std::string> parts = absl::StrSplit(item, absl::MaxSplits('=', 1));
    if (parts.size() != 2) {
      return absl::InvalidArgumentError(absl::StrCat("missing bool value for ", item));
    }
    if (!IsGroup(parts[0]) && !known.contains(parts[0])) {
      return absl::InvalidArgumentError(absl::StrCat("unrecognized feature gate: ", parts[0]));
    }
    const absl::StatusOr<bool> on = ParseGoBool(parts[1]);
    if (!on.ok()) return absl::InvalidArgumentError(absl::StrCat("invalid value of ", item));
    given[parts[0]] = *on;
  }
  return given;
}

}  // namespace

absl::StatusOr<Gates> ParseFeatureGates(const std::vector<std::string>& items) {
  Gates gates = Defaults();
  const absl::StatusOr<Gates> given = ReadItems(items, gates);
  if (!given.ok()) return given.status();
  for (const FeatureGate& gate : kFeatureGates) {
    const auto group = given->find(gate.is_beta ? "AllBeta" : "AllAlpha");
    if (group != given->end()) gates[std::string(gate.name)] = group->second;
  }
  for (const auto& [name, on] : *given) {
    if (!IsGroup(name)) gates[name] = on;
  }
  if (gates["LeaseCheckpointPersist"] && !gates["LeaseCheckpoint"]) {
    return absl::InvalidArgumentError(
        "enabling feature gate LeaseCheckpointPersist requires enabling feature gate "
        "LeaseCheckpoint");
  }
  return gates;
}

}  // namespace tidemark::server
