// The keys of a dataset that one op may write: of so many owners, those whose index leaves its
// number as a remainder.
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
  KeyShare(Dataset* dataset, int64_t number, int64_t owners, uint64_t seed)
      : dataset_(dataset),
        number_(number),
        owners_(owners),
        owned_((dataset->size() - number + owners - 1) / owners),
        random_(seed * 1'000'003 + static_cast<uint64_t>(number)) {
    CHECK_MSG(owned_ > 0, "fewer keys than clients");
  }

  Dataset& dataset() { return *dataset_; }
  int64_t Choose() { return number_ + owners_ * random_.Below(owned_); }  // any of them
  // One after the other; -1 behind the last.
  int64_t Next() { return next_ == owned_ ? -1 : number_ + owners_ * next_++; }
  // One after the other, and from the first again.
  int64_t NextInTurn() {
    if (next_ == owned_) next_ = 0;
    return Next();
  }

 private:
  Dataset* const dataset_;
  const int64_t number_;
  const int64_t owners_;
  const int64_t owned_;
  int64_t next_ = 0;
  SmallRandom random_;
};

}  // namespace tidemark::bench
