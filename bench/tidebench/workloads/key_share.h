// The keys of a dataset that one op may write: of a range of them, those whose place leaves the
// op's number as a remainder when divided by how many share the range.
//
// Invariant: a key belongs to one op at a time, so its owner knows its mod_revision exactly and an
// update never loses a race. Bound to one thread.
#pragma once

#include <cstdint>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/small_random.h"
#include "src/base/check.h"

namespace tidemark::bench {

class KeyShare {
 public:
  struct Range {
    int64_t begin = 0;
    int64_t end = 0;
  };

  KeyShare(Dataset* dataset, Range range, int64_t number, int64_t owners, uint64_t seed)
      : dataset_(dataset),
        first_(range.begin + number),
        owners_(owners),
        owned_((range.end - first_ + owners - 1) / owners),
        random_(seed * 1'000'003 + static_cast<uint64_t>(number)) {
    CHECK_MSG(owned_ > 0, "fewer keys than clients");
  }
  KeyShare(Dataset* dataset, int64_t number, int64_t owners, uint64_t seed)
      : KeyShare(dataset, {0, dataset->size()}, number, owners, seed) {}

  Dataset& dataset() { return *dataset_; }
  int64_t Choose() { return first_ + owners_ * random_.Below(owned_); }  // any of them
  // One after the other; -1 behind the last.
  int64_t Next() { return next_ == owned_ ? -1 : first_ + owners_ * next_++; }
  // One after the other, and from the first again.
  int64_t NextInTurn() {
    if (next_ == owned_) next_ = 0;
    return Next();
  }

 private:
  Dataset* const dataset_;
  const int64_t first_;
  const int64_t owners_;
  const int64_t owned_;
  int64_t next_ = 0;
  SmallRandom random_;
};

}  // namespace tidemark::bench
