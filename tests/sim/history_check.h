// C1 of docs/testing.md: is the history of the clients strictly serializable with respect to the
// journal's truth? Linear time; also judges operations of unknown outcome.
#pragma once

#include <string>
#include <vector>

#include "tests/sim/history.h"
#include "tests/sim/truth.h"

namespace tidemark::sim {

std::vector<std::string> CheckHistory(const std::vector<Operation>& operations, const Truth& truth);

// W1-W12: every watch against the truth.
std::vector<std::string> CheckWatches(const std::vector<WatchHistory>& watches, const Truth& truth);

}  // namespace tidemark::sim
