// libFuzzer's entry for the one target that this binary was linked with.
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/quiet_log.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  CHECK(tidemark::fuzz::Targets().size() == 1);
  tidemark::fuzz::QuietLog::Install();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tidemark::fuzz::Targets().front().run(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
