// Answers of the store before they are encoded for the wire: references to stored bytes.
//
// Values that may be handed to another thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/memory_budget.h"
#include "src/kvstore/range_items.h"

namespace tidemark::kvstore {

struct RangeResult {
  RangeItems items;
  int64_t count = 0;
  bool more = false;
  // For the items, and what they are encoded into. Of a txn's ranges one may hold it for all.
  MemoryCharge charge;
};

struct PutResult {
  std::optional<SharedBytes> prev_kv;  // only if asked for
};

struct DeleteResult {
  int64_t deleted = 0;
  std::vector<SharedBytes> prev_kvs;  // only if asked for, in key order
};

struct TxnResult;

// One ResponseOp. Range, put and delete carry header.revision on the wire, a nested txn an empty
// header (contract 1.2).
struct OpResult {
  Revision header_revision{0};
  std::variant<RangeResult, PutResult, DeleteResult, std::unique_ptr<TxnResult>> result;
};

struct TxnResult {
  bool succeeded = false;
  std::vector<OpResult> responses;
};

// An answer with the revision for its ResponseHeader.
template <typename Result>
struct Reply {
  Revision revision{0};
  Result result;
};

}  // namespace tidemark::kvstore
