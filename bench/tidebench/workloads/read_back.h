// Reads back what a load has written, once it is over: a sample of the keys, spread over all.
//
// A key must be as it was last written, and one that was deleted must not be there: a server that
// only counts revisions is fast. Bound to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "bench/tidebench/activity.h"
#include "bench/tidebench/dataset.h"
#include "bench/tidebench/wire/client.h"

namespace tidemark::bench {

class ReadBack {
 public:
  ReadBack(std::vector<Dataset*> datasets, uint64_t seed)
      : datasets_(std::move(datasets)), seed_(seed) {}

  // Chooses among the keys that are known now; null when there are none.
  std::unique_ptr<Activity> Make(Client& client);

 private:
  struct Key {
    Dataset* dataset = nullptr;
    int64_t index = 0;
  };
  friend class ReadBackOp;

  void Choose(Dataset* dataset);

  const std::vector<Dataset*> datasets_;
  const uint64_t seed_;
  std::vector<Key> keys_;
  size_t next_ = 0;
};

}  // namespace tidemark::bench
