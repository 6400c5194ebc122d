// etcd's feature gates (contract 10.2): which there are, and whether each is on.
//
// Hides their stages, by which AllAlpha and AllBeta switch them. Stateless.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tidemark::server {

// Of items "Gate=true"; the gates that none names are as AllAlpha and AllBeta say, or by default.
absl::StatusOr<std::map<std::string, bool>> ParseFeatureGates(
    const std::vector<std::string>& items);

}  // namespace tidemark::server
