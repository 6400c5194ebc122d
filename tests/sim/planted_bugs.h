// The planted bugs that the simulator must find (scripts/test-planted-bugs hunts each).
#pragma once

namespace tidemark::sim {

inline constexpr const char* kPlantedBugs[] = {
    "journal_ack_before_sync",
};

}  // namespace tidemark::sim
