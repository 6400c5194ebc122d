// What a list of a whole dataset at an exact revision must hold, while the dataset changes.
//
// At the newest acknowledged revision, each key is as it was last acknowledged; only what was sent
// and not acknowledged when the list was asked for may be there or not. What is sent later gets a
// later revision. Bound to one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "bench/tidebench/dataset.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

class ExpectedList {
 public:
  // Remembers what is known now. The dataset must outlive the list.
  void Begin(const Dataset* dataset);
  int64_t revision() const { return revision_; }  // to read at

  // The keys of the list, in order; an error for the first that is wrong or left out.
  absl::Status Next(const mvccpb::KeyValue& kv);
  absl::Status End();

 private:
  bool MayBe(int64_t index, const mvccpb::KeyValue& kv) const;
  absl::Status Skip(int64_t end);  // to that index

  const Dataset* dataset_ = nullptr;
  std::vector<Dataset::Entry> known_;
  int64_t revision_ = 0;
  int64_t next_ = 0;
};

}  // namespace tidemark::bench
