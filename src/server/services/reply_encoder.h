// The store's answers as etcd's response messages, without copying what is stored.
//
// Hides field numbers and nesting (contract 1.2 for headers, 1.4 for fields). Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/kvstore/results.h"

namespace tidemark::server {

// ResponseHeader; zero fields are left out, as protobuf does.
struct Header {
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  Revision revision{0};
  uint64_t term = 0;

  friend bool operator==(const Header&, const Header&) = default;
};

ByteChain EncodeRange(const Header& header, const kvstore::RangeResult& result);
// The same in pieces: EncodeHeaderOnly, the items, the end.
ByteChain EncodeRangeItems(std::vector<kvstore::RangeItem> items);
ByteChain EncodeRangeEnd(const kvstore::RangeResult& result);
ByteChain EncodePut(const Header& header, const kvstore::PutResult& result);
ByteChain EncodeDelete(const Header& header, const kvstore::DeleteResult& result);
ByteChain EncodeTxn(const Header& header, const kvstore::TxnResult& result);
// LeaseGrantResponse and LeaseKeepAliveResponse, which are alike.
ByteChain EncodeLease(const Header& header, int64_t id, int64_t ttl_seconds);
// A message that has nothing but a header.
ByteChain EncodeHeaderOnly(const Header& header);

// One message of a range stream; header, more and count belong to the last one.
struct RangeStreamEnd {
  Header header;
  bool more = false;
  int64_t count = 0;
};
ByteChain EncodeRangeStream(const kvstore::RangeItems& items,
                            const std::optional<RangeStreamEnd>& end);

struct WatchReply {
  Header header;
  int64_t watch_id = 0;
  bool created = false;
  bool canceled = false;
  Revision compact_revision{0};
  absl::string_view cancel_reason;
  bool fragment = false;
};
// `events`: encoded fields 11.
ByteChain EncodeWatch(const WatchReply& reply, const ByteChain& events);

// Cuts encoded events between events, so that a part stays below `limit_bytes` unless a single
// event is larger (contract 3.3). REQUIRES well-formed fields 11.
std::vector<ByteChain> SplitEvents(const ByteChain& events, size_t limit_bytes);

}  // namespace tidemark::server
