#include "src/base/posix_random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark {

uint64_t PosixRandom::Next() {
  MutexLock lock(&mutex_);
  if (used_words_ == kBlockWords) {
    ssize_t got = 0;
    do {
      got = ::getrandom(block_.data(), sizeof(block_), 0);
    } while (got < 0 && errno == EINTR);
    if (got != static_cast<ssize_t>(sizeof(block_))) {
      Fatal(absl::StrCat("getrandom: ", std::strerror(errno)));
    }
    used_words_ = 0;
  }
  return block_[used_words_++];
}

}  // namespace tidemark
