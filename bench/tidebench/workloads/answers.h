// What several ops say of answers.
//
// Pure.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/tidebench/dataset.h"
#include "bench/tidebench/op.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

// For an error's text: values are long.
template <class Message>
std::string Brief(const Message& message) {
  return message.ShortDebugString().substr(0, 400);
}

inline absl::Status WrongFor(const std::string& key, int64_t known_revision,
                             const std::string& answer) {
  return WrongAnswer(
      absl::StrCat("for ", key, ", last changed in revision ", known_revision, ": ", answer));
}

// A Txn of one put that succeeded.
inline bool IsPutDone(const etcdserverpb::TxnResponse& response) {
  return response.succeeded() && response.responses_size() == 1 &&
         response.responses(0).has_response_put();
}

// Key `index` as it was last written by us.
inline bool IsNewest(Dataset* dataset, int64_t index, const mvccpb::KeyValue& kv) {
  const Dataset::Entry& entry = dataset->entry(index);
  return dataset->IndexOf(kv.key()) == index && kv.mod_revision() == entry.mod_revision &&
         dataset->WritesIn(index, kv.value()) == entry.writes;
}

}  // namespace tidemark::bench
