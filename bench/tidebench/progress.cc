#include "bench/tidebench/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace tidemark::bench {

Progress::Progress() : is_terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::Show(const std::string& what, double share) {
  constexpr int kWidth = 40;
  if (!is_terminal_) return;
  const int done = static_cast<int>(kWidth * std::clamp(share, 0.0, 1.0));
  std::fprintf(stderr, "\r\x1b[K[%s%s] %3d%% %s", std::string(done, '#').c_str(),
               std::string(kWidth - done, '.').c_str(), done * 100 / kWidth, what.c_str());
}

void Progress::Clear() {
  if (is_terminal_) std::fprintf(stderr, "\r\x1b[K");
}

}  // namespace tidemark::bench
