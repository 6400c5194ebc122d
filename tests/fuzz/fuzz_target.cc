#include "tests/fuzz/fuzz_target.h"

namespace tidemark::fuzz {

std::vector<Target>& Targets() {
  static auto* targets = new std::vector<Target>;
  return *targets;
}

}  // namespace tidemark::fuzz
