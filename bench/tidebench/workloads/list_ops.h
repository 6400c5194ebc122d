// Reads of all keys of a dataset that nobody writes: in pages, in one answer, as a stream of
// answers.
//
// Every key, revision, value, count and `more` is checked. Bound to the thread of the connection.
#pragma once

#include <cstdint>
#include <string>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/op.h"
#include "bench/tidebench/workloads/methods.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

// One page for each request; the pages behind the first at its revision, as kube-apiserver does.
// With a page of all keys it is a whole list.
class PageOp : public UnaryOp<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse> {
 public:
  PageOp(Connection& connection, Dataset* dataset, int64_t page_keys);

 private:
  bool Prepare(etcdserverpb::RangeRequest* request) override;
  absl::Status Check(const etcdserverpb::RangeResponse& response) override;

  Dataset* const dataset_;
  const int64_t page_keys_;  // 0: no limit
  int64_t next_ = 0;         // the first key of the page
  int64_t revision_ = 0;     // of the first page
};

class RangeStreamOp : public Op {
 public:
  RangeStreamOp(Connection& connection, Dataset* dataset);
  bool Begin() override;

 private:
  void OnMessage(absl::string_view message) override;
  void OnEnd(const absl::Status& status) override;

  Dataset* const dataset_;
  etcdserverpb::RangeRequest request_;
  etcdserverpb::RangeStreamResponse response_;
  int64_t next_ = 0;
  int64_t revision_ = 0;  // of the first header seen
  int64_t count_ = 0;
  bool has_ended_ = false;  // an empty piece or a count came
  absl::Status wrong_;
};

}  // namespace tidemark::bench
