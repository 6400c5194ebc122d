// Real gRPC clients against the transport: calls, statuses, metadata, deadlines, limits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "src/server/transport/echo_fixture.h"
#include "src/server/transport/grpc_test_client.h"

namespace tidemark::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::chrono::system_clock::time_point In(int millis) {
  return std::chrono::system_clock::now() + std::chrono::milliseconds(millis);
}

TEST(GrpcTransportTest, UnaryEchoes) {
  EchoServer server;
  GrpcTestClient client(server.address());
  for (const size_t size : {0, 1, 1000, 16384, 70000, 2 << 20}) {
    const std::string message(size, 'm');
    const UnaryResult result = client.Unary("Unary", message);
    ASSERT_TRUE(result.status.ok()) << result.status.error_message();
    ASSERT_EQ(result.message, message);
  }
}

TEST(GrpcTransportTest, AnswersFromOtherThreads) {
  EchoServer server({.loop_count = 2});
  GrpcTestClient client(server.address());
  constexpr int kCalls = 500;
  absl::BlockingCounter left(kCalls);
  std::atomic<int> good{0};
  for (int i = 0; i < kCalls; ++i) {
    const std::string message = absl::StrCat("message ", i);
    client.UnaryAsync("Threaded", message, [&, message](UnaryResult result) {
      if (result.status.ok() && result.message == message) good.fetch_add(1);
      left.DecrementCount();
    });
  }
  left.Wait();
  EXPECT_EQ(good.load(), kCalls);
}

TEST(GrpcTransportTest, StatusesArriveWithCodeAndText) {
  EchoServer server;
  GrpcTestClient client(server.address());
  const struct {
    const char* request;
    int code;
    const char* text;
  } cases[] = {
      {"11 etcdserver: mvcc: required revision has been compacted", 11,
       "etcdserver: mvcc: required revision has been compacted"},
      {"8 100% full\n\xc3\xa4", 8, "100% full\n\xc3\xa4"},
      {"14 etcdserver: no leader", 14, "etcdserver: no leader"},
      {"2 ", 2, ""},
  };
  for (const auto& c : cases) {
    const UnaryResult result = client.Unary("Fail", c.request);
    EXPECT_EQ(static_cast<int>(result.status.error_code()), c.code);
    EXPECT_EQ(result.status.error_message(), c.text);
  }
}

TEST(GrpcTransportTest, UnknownServicesAndMethodsAreUnimplemented) {
  EchoServer server;
  GrpcTestClient client(server.address());
  UnaryResult result = client.Unary("/no.Such/Thing", "");
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(result.status.error_message(), "unknown service no.Such");
  result = client.Unary("/test.Echo/Nothing", "");
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(result.status.error_message(), "unknown method Nothing for service test.Echo");
}

TEST(GrpcTransportTest, MetadataReachesTheHandler) {
  EchoServer server;
  GrpcTestClient client(server.address());
  const std::string binary("\x00\x01\xff\xfe", 4);
  const UnaryResult result = client.Unary("Metadata", "", [&](grpc::ClientContext& context) {
    context.AddMetadata("hasleader", "true");
    context.AddMetadata("client-api-version", "3.7");
    context.AddMetadata("trace-bin", binary);
  });
  ASSERT_TRUE(result.status.ok());
  EXPECT_THAT(result.message, HasSubstr("hasleader=true\n"));
  EXPECT_THAT(result.message, HasSubstr("client-api-version=3.7\n"));
  EXPECT_THAT(result.message, HasSubstr("trace-bin=" + binary + "\n"));
  EXPECT_THAT(result.message, HasSubstr("peer=127.0.0.1:"));
}

TEST(GrpcTransportTest, DeadlineEndsTheCallAndTellsTheHandler) {
  EchoServer server;
  GrpcTestClient client(server.address());
  // Connected first: a deadline that passes before its call is sent tells the handler nothing.
  ASSERT_TRUE(client.Unary("Unary", "x").status.ok());
  const UnaryResult result = client.Unary(
      "Hang", "x", [](grpc::ClientContext& context) { context.set_deadline(In(500)); });
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([&] { return server.counters().cancelled_calls.load() == 1; }));
  EXPECT_EQ(server.counters().open_calls.load(), 0);
}

TEST(GrpcTransportTest, WhicheverLimitComesFirstCounts) {
  EchoServer server;
  GrpcTestClient client(server.address());
  ASSERT_TRUE(client.Unary("Unary", "x").status.ok());
  const auto ask = [&](const char* limit_ms, int deadline_ms) {
    return client.Unary("Limited", limit_ms, [deadline_ms](grpc::ClientContext& context) {
      context.set_deadline(In(deadline_ms));
    });
  };
  EXPECT_EQ(client.Unary("Limited", "20").message, "late");
  EXPECT_EQ(ask("20", 60'000).message, "late");
  EXPECT_EQ(ask("60000", 500).status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([&] { return server.counters().cancelled_calls.load() == 1; }));
}

TEST(GrpcTransportTest, CancellingReachesTheHandler) {
  EchoServer server;
  GrpcTestClient client(server.address());
  {
    GrpcTestStream stream(client, "Bidi");
    ASSERT_TRUE(stream.Write("one"));
    std::string text;
    ASSERT_TRUE(stream.Read(text));
    EXPECT_EQ(server.counters().open_calls.load(), 1);
  }
  EXPECT_TRUE(Eventually([&] { return server.counters().cancelled_calls.load() == 1; }));
}

TEST(GrpcTransportTest, LosingTheConnectionReachesTheHandler) {
  EchoServer server;
  auto client = std::make_unique<GrpcTestClient>(server.address());
  absl::BlockingCounter left(1);
  client->UnaryAsync(
      "Hang", "x", [&](UnaryResult) { left.DecrementCount(); },
      [](grpc::ClientContext& context) { context.set_deadline(In(2000)); });
  ASSERT_TRUE(Eventually([&] { return server.counters().messages.load() == 1; }));
  server.Stop(absl::ZeroDuration());
  left.Wait();
  EXPECT_EQ(server.counters().cancelled_calls.load(), 1);
  EXPECT_EQ(server.counters().open_calls.load(), 0);
}

TEST(GrpcTransportTest, MessageLimit) {
  EchoServer server({.max_receive_message_bytes = 1000});
  GrpcTestClient client(server.address());
  EXPECT_TRUE(client.Unary("Unary", std::string(1000, 'x')).status.ok());
  const UnaryResult result = client.Unary("Unary", std::string(1001, 'x'));
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(result.status.error_message(),
            "grpc: received message larger than max (1001 vs. 1000)");
  const UnaryResult huge = client.Unary("Unary", std::string(20 << 20, 'x'));
  EXPECT_EQ(huge.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(huge.status.error_message(), StartsWith("grpc: received message larger than max ("));
  EXPECT_TRUE(client.Unary("Unary", "still fine").status.ok());
}

TEST(GrpcTransportTest, CompressionIsUnimplemented) {
  EchoServer server;
  GrpcTestClient client(server.address());
  const UnaryResult result = client.Unary(
      "Unary", std::string(1000, 'x'),
      [](grpc::ClientContext& context) { context.set_compression_algorithm(GRPC_COMPRESS_GZIP); });
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(result.status.error_message(),
            "grpc: Decompressor is not installed for grpc-encoding \"gzip\"");
}

TEST(GrpcTransportTest, MetadataLimit) {
  EchoServer server({.max_metadata_bytes = 8192});
  GrpcTestClient client(server.address());
  const auto with = [](size_t size) {
    return [size](grpc::ClientContext& context) {
      context.AddMetadata("large", std::string(size, 'v'));
    };
  };
  EXPECT_TRUE(client.Unary("Unary", "", with(4000)).status.ok());
  // The client may refuse by itself, having read our SETTINGS.
  EXPECT_FALSE(client.Unary("Unary", "", with(10000)).status.ok());
  EXPECT_TRUE(client.Unary("Unary", "", with(4000)).status.ok());
}

TEST(GrpcTransportTest, HundredMegabyteResponse) {
  EchoServer server;
  GrpcTestClient client(server.address());
  const UnaryResult result = client.Unary("Sized", "104857600");
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.message.size(), 104857600u);
}

TEST(GrpcTransportTest, ManyConnections) {
  EchoServer server({.loop_count = 2});
  std::vector<std::unique_ptr<GrpcTestClient>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<GrpcTestClient>(server.address()));
    ASSERT_TRUE(clients.back()->Unary("Unary", "hello").status.ok());
  }
  EXPECT_EQ(server.transport().open_connections(), 200u);
  clients.clear();
  EXPECT_TRUE(Eventually([&] { return server.transport().open_connections() == 0; }));
}

TEST(GrpcTransportTest, UnixSocket) {
  const std::string path = absl::StrCat(::testing::TempDir(), "transport-", getpid(), ".sock");
  for (int round = 0; round < 2; ++round) {
    ListenerSpec spec;
    spec.address.unix_path = path;
    EchoServer server({}, spec);
    GrpcTestClient client("unix:" + path);
    const UnaryResult result = client.Unary("Metadata", "");
    ASSERT_TRUE(result.status.ok()) << result.status.error_message();
    EXPECT_THAT(result.message, HasSubstr("peer=unix:" + path));
  }
}

}  // namespace
}  // namespace tidemark::server
