// Streams, flow control in both directions and the end of a server, with real gRPC clients.

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "src/server/transport/echo_fixture.h"
#include "src/server/transport/grpc_test_client.h"

namespace tidemark::server {
namespace {

// Without it equal channels share one.
grpc::ChannelArguments OwnConnection() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return arguments;
}

TEST(GrpcFlowTest, BidiStreamEchoesInOrder) {
  EchoServer server;
  GrpcTestClient client(server.address());
  GrpcTestStream stream(client, "Bidi");
  for (int i = 0; i < 300; ++i) {
    const std::string sent = absl::StrCat(i, std::string(i * 100, 'b'));
    ASSERT_TRUE(stream.Write(sent));
    std::string received;
    ASSERT_TRUE(stream.Read(received));
    ASSERT_EQ(received, sent);
  }
  ASSERT_TRUE(stream.WritesDone());
  std::string rest;
  EXPECT_FALSE(stream.Read(rest));
  EXPECT_TRUE(stream.Finish().ok());
}

TEST(GrpcFlowTest, SaysOnceThatASmallMessageLeft) {
  EchoServer server;
  GrpcTestClient client(server.address());
  GrpcTestStream stream(client, "Taken");
  std::string received;
  for (int i = 0; i < 100; ++i) {
    const std::string sent = absl::StrCat(i);
    ASSERT_TRUE(stream.Write(sent));
    ASSERT_TRUE(stream.Read(received));
    ASSERT_EQ(received, sent);
    ASSERT_TRUE(stream.Read(received));
    ASSERT_EQ(received, "unsent 0");
  }
  ASSERT_TRUE(stream.WritesDone());
  EXPECT_FALSE(stream.Read(received));
  EXPECT_TRUE(stream.Finish().ok());
}

TEST(GrpcFlowTest, ThousandsOfOpenStreams) {
  EchoServer server;
  GrpcTestClient client(server.address());
  constexpr int kStreams = 2000;
  std::vector<std::unique_ptr<GrpcTestStream>> streams;
  for (int i = 0; i < kStreams; ++i) {
    streams.push_back(std::make_unique<GrpcTestStream>(client, "Bidi"));
    ASSERT_TRUE(streams.back()->Write(absl::StrCat("stream ", i)));
  }
  for (int i = 0; i < kStreams; ++i) {
    std::string received;
    ASSERT_TRUE(streams[i]->Read(received));
    ASSERT_EQ(received, absl::StrCat("stream ", i));
  }
  EXPECT_EQ(server.counters().open_calls.load(), kStreams);
  EXPECT_EQ(server.transport().open_connections(), 1u);
  streams.clear();
  EXPECT_TRUE(Eventually([&] { return server.counters().open_calls.load() == 0; }));
}

TEST(GrpcFlowTest, ConcurrentStreamsAreLimited) {
  EchoServer server({.max_concurrent_streams = 3});
  GrpcTestClient client(server.address());
  std::vector<std::unique_ptr<GrpcTestStream>> streams;
  std::string text;
  for (int i = 0; i < 3; ++i) {
    streams.push_back(std::make_unique<GrpcTestStream>(client, "Bidi"));
    ASSERT_TRUE(streams.back()->Write("x") && streams.back()->Read(text));
  }
  const auto soon = [](grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  };
  EXPECT_EQ(client.Unary("Unary", "waits", soon).status.error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  streams.pop_back();
  EXPECT_TRUE(client.Unary("Unary", "fits").status.ok());
}

TEST(GrpcFlowTest, SlowReaderBoundsWhatTheServerHolds) {
  EchoServer server;
  GrpcTestClient client(server.address());
  GrpcTestStream stream(client, "Flood");
  constexpr int kMessages = 4000;  // 250 MiB
  ASSERT_TRUE(stream.Write(absl::StrCat(kMessages)));
  ASSERT_TRUE(stream.WritesDone());
  std::string text;
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(stream.Read(text)) << i;
    ASSERT_EQ(text.size(), 64u << 10);
  }
  EXPECT_FALSE(stream.Read(text));
  EXPECT_TRUE(stream.Finish().ok());
  // The handler stops at 1 MiB; a connection that took everything would not let it see that.
  EXPECT_LE(server.counters().max_unsent_bytes.load(), (1 << 20) + (70 << 10));
  EXPECT_GE(server.counters().max_unsent_bytes.load(), 1 << 20);
}

TEST(GrpcFlowTest, UnreadStreamDoesNotHoldUpOthersOrGrow) {
  EchoServer server;
  GrpcTestClient client(server.address());
  GrpcTestStream unread(client, "Flood");
  ASSERT_TRUE(unread.Write("100000"));  // 6 GiB
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.Unary("Unary", "still here").status.ok());
  EXPECT_LE(server.counters().max_unsent_bytes.load(), (1 << 20) + (70 << 10));
}

TEST(GrpcFlowTest, RequestsWaitWhileTheirAnswersAreNotRead) {
  EchoServer server;
  GrpcTestClient client(server.address());
  GrpcTestStream stream(client, "Pour");
  ASSERT_TRUE(stream.Write("8000000"));
  // Nobody reads: of the following only those are taken that came before the answer piled up.
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(stream.Write("4000000"));
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(client.Unary("Unary", "x").status.ok());
  EXPECT_LE(server.counters().max_unsent_bytes.load(), 13'000'000);
  std::string text;
  ASSERT_TRUE(stream.Read(text));
  EXPECT_EQ(text.size(), 8'000'000u);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(stream.Read(text)) << i;
    EXPECT_EQ(text.size(), 4'000'000u);
  }
  ASSERT_TRUE(stream.WritesDone());
  EXPECT_FALSE(stream.Read(text));
  EXPECT_TRUE(stream.Finish().ok());
}

// What is held for a cancelled call must go back to the connection's window.
TEST(GrpcFlowTest, CancelledCallsGiveTheirWindowBack) {
  EchoServer server;
  GrpcTestClient client(server.address());
  const std::string padding(400'000, ' ');
  for (int i = 0; i < 60; ++i) {  // 24 MB through a window of 16 MiB
    const int64_t before = server.counters().messages.load();
    GrpcTestStream stream(client, "Pour", std::chrono::seconds(10));
    ASSERT_TRUE(stream.Write("20000000"));
    ASSERT_TRUE(Eventually([&] { return server.counters().messages.load() > before; }));
    ASSERT_TRUE(stream.Write(absl::StrCat(padding, "1")));
    // The window's bytes have left when another call's request, queued behind them, is answered.
    const UnaryResult result = client.Unary("Fail", "0 ", [](grpc::ClientContext& context) {
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    });
    ASSERT_NE(result.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << i;
  }
}

TEST(GrpcFlowTest, ShutdownLetsCallsEnd) {
  EchoServer server;
  GrpcTestClient client(server.address());
  GrpcTestStream stream(client, "Bidi");
  std::string text;
  ASSERT_TRUE(stream.Write("before") && stream.Read(text));
  server.transport().BeginShutdown(absl::Seconds(20));
  ASSERT_TRUE(stream.Write("during"));
  ASSERT_TRUE(stream.Read(text));
  EXPECT_EQ(text, "during");
  ASSERT_TRUE(stream.WritesDone());
  EXPECT_FALSE(stream.Read(text));
  EXPECT_TRUE(stream.Finish().ok());
  server.transport().Join();
  EXPECT_EQ(server.counters().cancelled_calls.load(), 0);
}

// Else a watch would hold up every stop for as long as it may take.
TEST(GrpcFlowTest, ShutdownEndsLastingCalls) {
  EchoServer server;
  GrpcTestClient client(server.address());
  GrpcTestStream stream(client, "Lasting");
  std::string text;
  ASSERT_TRUE(stream.Write("before") && stream.Read(text));
  std::promise<UnaryResult> unary;
  absl::Notification answers;
  server.counters().worker.Post([&] { answers.WaitForNotification(); });
  client.UnaryAsync("Threaded", "on its way",
                    [&](UnaryResult result) { unary.set_value(std::move(result)); });
  ASSERT_TRUE(Eventually([&] { return server.counters().messages.load() == 2; }));
  server.transport().BeginShutdown(absl::Seconds(20));
  EXPECT_FALSE(stream.Read(text));
  const grpc::Status status = stream.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "server stopped");
  answers.Notify();
  const UnaryResult result = unary.get_future().get();
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.message, "on its way");
  server.transport().Join();
  EXPECT_EQ(server.counters().cancelled_calls.load(), 1);
}

TEST(GrpcFlowTest, ShutdownDoesNotWaitForAClientThatDoesNotRead) {
  EchoServer server;
  GrpcTestClient client(server.address());
  GrpcTestStream stream(client, "LastingPour");
  ASSERT_TRUE(stream.Write("50000000"));
  ASSERT_TRUE(Eventually([&] { return server.counters().max_unsent_bytes.load() > 0; }));
  const absl::Duration begun = server.Now();
  server.transport().BeginShutdown(absl::Seconds(20));
  server.transport().Join();
  EXPECT_LT(server.Now() - begun, absl::Seconds(10));
}

// What answers a call may live on a loop that has no connection itself.
TEST(GrpcFlowTest, LoopsWithoutConnectionsServeTheOthersUntilTheEnd) {
  EchoServer server({.loop_count = 2});
  GrpcTestClient first(server.address());
  ASSERT_TRUE(first.Unary("Unary", "takes the first loop").status.ok());
  GrpcTestClient second(server.address(), nullptr, OwnConnection());
  GrpcTestStream stream(second, "Bidi");
  std::string text;
  ASSERT_TRUE(stream.Write("before") && stream.Read(text));
  ASSERT_EQ(server.transport().open_connections(), 2u);
  server.transport().BeginShutdown(absl::Seconds(20));
  ASSERT_TRUE(Eventually([&] { return server.transport().open_connections() == 1; }));
  for (size_t i = 0; i < 2; ++i) {
    auto ran = std::make_shared<std::atomic<bool>>(false);
    server.transport().loop(i).PostAt(server.Now() + absl::Milliseconds(20),
                                      [ran] { *ran = true; });
    EXPECT_TRUE(Eventually([&] { return ran->load(); })) << i;
  }
  ASSERT_TRUE(stream.WritesDone());
  EXPECT_FALSE(stream.Read(text));
  EXPECT_TRUE(stream.Finish().ok());
  server.transport().Join();
}

TEST(GrpcFlowTest, ShutdownCutsOffWhatDoesNotEnd) {
  EchoServer server({.loop_count = 2});
  GrpcTestClient client(server.address());
  GrpcTestStream stream(client, "Bidi");
  std::string text;
  ASSERT_TRUE(stream.Write("before") && stream.Read(text));
  server.Stop(absl::Milliseconds(50));
  EXPECT_EQ(server.counters().cancelled_calls.load(), 1);
  EXPECT_FALSE(stream.Read(text));
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace tidemark::server
