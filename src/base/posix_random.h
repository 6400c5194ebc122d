// Randomness from the kernel, fetched a block at a time. Thread-safe.
#pragma once

#include <array>
#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "src/base/mutex.h"
#include "src/base/random.h"

namespace tidemark {

class PosixRandom : public Random {
 public:
  uint64_t Next() override;

 private:
  // getrandom gives up to 256 bytes without being interrupted.
  static constexpr size_t kBlockWords = 32;

  Mutex mutex_;
  std::array<uint64_t, kBlockWords> block_ ABSL_GUARDED_BY(mutex_);
  size_t used_words_ ABSL_GUARDED_BY(mutex_) = kBlockWords;
};

}  // namespace tidemark
