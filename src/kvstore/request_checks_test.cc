// Expected values: contract 2.3, 2.5, 2.7, 5.2.
#include "src/kvstore/request_checks.h"

#include <random>

#include "gtest/gtest.h"
#include "src/kvstore/etcd_errors.h"
#include "src/mvcc/key_range.h"

namespace tidemark::kvstore {
namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

RequestOp PutOp(const std::string& key, const std::string& value = "v") {
  RequestOp op;
  op.mutable_request_put()->set_key(key);
  op.mutable_request_put()->set_value(value);
  return op;
}
RequestOp DeleteOp(const std::string& key, const std::string& end = "") {
  RequestOp op;
  op.mutable_request_delete_range()->set_key(key);
  op.mutable_request_delete_range()->set_range_end(end);
  return op;
}
RequestOp RangeOp(const std::string& key, bool serializable = false) {
  RequestOp op;
  op.mutable_request_range()->set_key(key);
  op.mutable_request_range()->set_serializable(serializable);
  return op;
}
RequestOp Nested(std::vector<RequestOp> success, std::vector<RequestOp> failure = {}) {
  RequestOp op;
  for (auto& o : success) *op.mutable_request_txn()->add_success() = o;
  for (auto& o : failure) *op.mutable_request_txn()->add_failure() = o;
  return op;
}
TxnRequest Txn(std::vector<RequestOp> success, std::vector<RequestOp> failure = {}) {
  return Nested(std::move(success), std::move(failure)).request_txn();
}
absl::Status Check(const TxnRequest& request) { return CheckTxn(request, 128); }

TEST(RequestChecksTest, Range) {
  etcdserverpb::RangeRequest request;
  EXPECT_EQ(CheckRange(request), ErrEmptyKey());
  request.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(9));
  EXPECT_EQ(CheckRange(request), ErrEmptyKey());  // the key comes first
  request.set_key("k");
  EXPECT_EQ(CheckRange(request), ErrInvalidSortOption());
  request.clear_sort_order();
  request.set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(5));
  EXPECT_EQ(CheckRange(request), ErrInvalidSortOption());
  request.set_sort_target(etcdserverpb::RangeRequest::VALUE);
  EXPECT_TRUE(CheckRange(request).ok());
}

// Deletes are kept as a union of ranges; here each is asked by itself.
TEST(RequestChecksTest, APutIsNotAmongAnyDeletes) {
  std::mt19937 random(1);
  const auto letter = [&random] { return std::string(1, static_cast<char>('a' + random() % 12)); };
  int duplicates = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string key = letter();
    std::vector<RequestOp> ops, nested;
    bool is_deleted = false;
    for (int n = static_cast<int>(random() % 6); n > 0; --n) {
      const RequestOp op = DeleteOp(letter(), random() % 3 == 0 ? "" : letter());
      const auto& request = op.request_delete_range();
      is_deleted |= mvcc::FromEtcd(request.key(), request.range_end()).Contains(key);
      (random() % 2 == 0 ? ops : nested).push_back(op);
    }
    if (!nested.empty()) ops.push_back(Nested(std::move(nested)));
    ops.push_back(PutOp(key));
    ASSERT_EQ(Check(Txn(std::move(ops))), is_deleted ? ErrDuplicateKey() : absl::OkStatus());
    duplicates += is_deleted;
  }
  EXPECT_GT(duplicates, 5000);
  EXPECT_LT(duplicates, 15000);
}

TEST(RequestChecksTest, PutInOrder) {
  etcdserverpb::PutRequest request;
  request.set_ignore_value(true);
  request.set_value("v");
  request.set_ignore_lease(true);
  request.set_lease(1);
  EXPECT_EQ(CheckPut(request), ErrEmptyKey());
  request.set_key("k");
  EXPECT_EQ(CheckPut(request), ErrValueProvided());
  request.clear_value();
  EXPECT_EQ(CheckPut(request), ErrLeaseProvided());
  request.clear_lease();
  EXPECT_TRUE(CheckPut(request).ok());
}

TEST(RequestChecksTest, TxnSizeIsTheLargestList) {
  TxnRequest request;
  for (int i = 0; i < 128; ++i) {
    request.add_compare()->set_key("c");
    *request.add_success() = RangeOp("r");
    *request.add_failure() = RangeOp("r");
  }
  EXPECT_TRUE(Check(request).ok());
  *request.add_failure() = RangeOp("r");
  EXPECT_EQ(Check(request), ErrTooManyOps());
}

TEST(RequestChecksTest, NestedTxnHasWhatItsParentLeaves) {
  EXPECT_TRUE(CheckTxn(Txn({Nested({RangeOp("a"), RangeOp("b")})}), 3).ok());
  EXPECT_EQ(CheckTxn(Txn({Nested({RangeOp("a"), RangeOp("b")})}), 2), ErrTooManyOps());
  // Siblings are not added up.
  EXPECT_TRUE(
      CheckTxn(Txn({Nested({RangeOp("a"), RangeOp("b")}), Nested({RangeOp("a"), RangeOp("b")})}), 4)
          .ok());
}

TEST(RequestChecksTest, TxnShape) {
  TxnRequest request = Txn({RequestOp()});
  EXPECT_EQ(Check(request), ErrKeyNotFound());
  request.add_compare();
  EXPECT_EQ(Check(request), ErrEmptyKey());
  EXPECT_EQ(Check(Txn({}, {PutOp("")})), ErrEmptyKey());
  EXPECT_EQ(Check(Txn({Nested({DeleteOp("")})})), ErrEmptyKey());
}

TEST(RequestChecksTest, Overlap) {
  const absl::Status duplicate = ErrDuplicateKey();
  EXPECT_EQ(Check(Txn({PutOp("a"), PutOp("a")})), duplicate);
  EXPECT_EQ(Check(Txn({}, {PutOp("a"), PutOp("a")})), duplicate);
  EXPECT_TRUE(Check(Txn({PutOp("a")}, {PutOp("a")})).ok());
  EXPECT_EQ(Check(Txn({PutOp("b"), DeleteOp("a", "c")})), duplicate);
  EXPECT_TRUE(Check(Txn({PutOp("c"), DeleteOp("a", "c")})).ok());
  EXPECT_EQ(Check(Txn({PutOp("a"), Nested({PutOp("a")})})), duplicate);
  EXPECT_EQ(Check(Txn({Nested({PutOp("a")}), Nested({}, {PutOp("a")})})), duplicate);
  EXPECT_TRUE(Check(Txn({Nested({PutOp("a")}, {PutOp("a")})})).ok());
  EXPECT_EQ(Check(Txn({DeleteOp("a", "c"), Nested({PutOp("b")})})), duplicate);
  EXPECT_EQ(Check(Txn({Nested({DeleteOp("a", "c")}), PutOp("b")})), duplicate);
  EXPECT_TRUE(Check(Txn({DeleteOp("a", "c"), DeleteOp("b")})).ok());
  EXPECT_TRUE(Check(Txn({RangeOp("a"), PutOp("a"), RangeOp("a")})).ok());
}

TEST(RequestChecksTest, OverlapQuirks) {
  // 1: only deletes of nested transactions before it.
  EXPECT_EQ(Check(Txn({Nested({DeleteOp("a", "c")}), Nested({PutOp("b")})})), ErrDuplicateKey());
  EXPECT_TRUE(Check(Txn({Nested({PutOp("b")}), Nested({DeleteOp("a", "c")})})).ok());
  // 2: "from key on" collides with nothing.
  EXPECT_TRUE(Check(Txn({PutOp("b"), DeleteOp("a", std::string(1, '\0'))})).ok());
}

TEST(RequestChecksTest, QuotaCost) {
  EXPECT_EQ(QuotaCostBytes(PutOp("abc", "12345").request_put()), 256 + 8);
  EXPECT_EQ(QuotaCostBytes(Txn({DeleteOp("a"), RangeOp("a")})), 0);
  EXPECT_EQ(QuotaCostBytes(Txn({PutOp("a", "1"), Nested({PutOp("b", "2")})}, {PutOp("c", "3")})),
            2 * 258);
}

TEST(RequestChecksTest, ReadOnlyAndSerializable) {
  EXPECT_TRUE(IsReadOnlyTxn(Txn({})));
  EXPECT_TRUE(TxnIsSerializable(Txn({})));
  EXPECT_TRUE(IsReadOnlyTxn(Txn({RangeOp("a")}, {RangeOp("b")})));
  EXPECT_FALSE(IsReadOnlyTxn(Txn({Nested({RangeOp("a")})})));
  EXPECT_FALSE(IsReadOnlyTxn(Txn({}, {DeleteOp("a")})));
  EXPECT_TRUE(TxnIsSerializable(Txn({RangeOp("a", true)}, {RangeOp("b", true)})));
  EXPECT_FALSE(TxnIsSerializable(Txn({RangeOp("a", true)}, {RangeOp("b", false)})));
}

}  // namespace
}  // namespace tidemark::kvstore
