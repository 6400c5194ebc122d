#include "src/server/services/request_parser.h"

#include <string>

#include "gtest/gtest.h"

namespace tidemark::server {
namespace {

using etcdserverpb::TxnRequest;
using etcdserverpb::WatchRequest;

constexpr int kUnknownField = 999;

template <typename Message>
void AddUnknownFields(Message& message, int count) {
  for (int i = 0; i < count; ++i) {
    message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(kUnknownField);
  }
}

template <typename Request>
Request Parsed(const Request& request) {
  Request parsed;
  EXPECT_TRUE(ParseRequest(request.SerializeAsString(), parsed));
  return parsed;
}

// An empty field of three bytes takes ten times that and more as a message keeps it.
TEST(RequestParserTest, KeepsNothingOfWhatItDoesNotKnow) {
  etcdserverpb::PutRequest put;
  put.set_key("k");
  const size_t plain_bytes = put.SpaceUsedLong();
  AddUnknownFields(put, 10000);
  const etcdserverpb::PutRequest parsed = Parsed(put);
  EXPECT_EQ(parsed.key(), "k");
  EXPECT_LE(parsed.SpaceUsedLong(), plain_bytes + 100);
}

TEST(RequestParserTest, NorInsideTransactions) {
  TxnRequest txn;
  AddUnknownFields(*txn.add_compare(), 1);
  AddUnknownFields(*txn.add_success(), 1);
  AddUnknownFields(*txn.add_success()->mutable_request_put(), 1);
  AddUnknownFields(*txn.add_failure()->mutable_request_range(), 1);
  TxnRequest* nested = txn.add_failure()->mutable_request_txn();
  AddUnknownFields(*nested, 1);
  AddUnknownFields(*nested->add_success()->mutable_request_delete_range(), 1);
  TxnRequest expected = txn;
  expected.DiscardUnknownFields();
  EXPECT_NE(txn.ByteSizeLong(), expected.ByteSizeLong());
  EXPECT_EQ(Parsed(txn).SerializeAsString(), expected.SerializeAsString());
}

TEST(RequestParserTest, NorInsideWatchRequests) {
  WatchRequest create, cancel, progress;
  AddUnknownFields(create, 1);
  AddUnknownFields(*create.mutable_create_request(), 1);
  AddUnknownFields(*cancel.mutable_cancel_request(), 1);
  AddUnknownFields(*progress.mutable_progress_request(), 1);
  for (const WatchRequest& request : {create, cancel, progress}) {
    WatchRequest expected = request;
    expected.DiscardUnknownFields();
    EXPECT_EQ(Parsed(request).SerializeAsString(), expected.SerializeAsString());
  }
}

TEST(RequestParserTest, ManySmallPartsAreCounted) {
  TxnRequest txn;
  for (int i = 0; i < 4; ++i) txn.add_success()->mutable_request_put()->set_key("k");
  EXPECT_EQ(ExtraBytes(txn), 0);
  TxnRequest* nested = txn.add_success()->mutable_request_txn();
  for (int i = 0; i < 1000; ++i) nested->add_success()->mutable_request_range()->set_key("k");
  EXPECT_GT(ExtraBytes(txn), 10 * static_cast<int64_t>(txn.ByteSizeLong()));
}

}  // namespace
}  // namespace tidemark::server
