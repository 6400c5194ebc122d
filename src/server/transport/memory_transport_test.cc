// What the client port does when its share of the memory budget is used up.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "src/base/memory_budget.h"
#include "src/server/transport/echo_fixture.h"
#include "src/server/transport/grpc_test_client.h"
#include "src/server/transport/grpc_wire.h"
#include "src/server/transport/raw_client.h"

namespace tidemark::server {
namespace {

constexpr auto kConnections = MemoryAccount::kConnections;
constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kResetStream = 3;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kWindowUpdate = 8;

std::string BigEndian32(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

// Says that the client can take a gigabyte, on each stream and on all.
void OpenWindows(RawHttp2& client) {
  constexpr uint16_t kInitialWindowSize = 4;
  client.SendFrame(kSettings, 0, 0,
                   std::string({0, static_cast<char>(kInitialWindowSize)}) + BigEndian32(1 << 30));
  client.SendFrame(kWindowUpdate, 0, 0, BigEndian32(1 << 30));
}

class MemoryTransportTest : public ::testing::Test {
 protected:
  void Start(int64_t share_bytes, TransportOptions options = {}) {
    budget_ = std::make_unique<MemoryBudget>(share_bytes * 20);
    ASSERT_NEAR(budget_->share_bytes(kConnections), share_bytes, 100);
    server_ = std::make_unique<EchoServer>(options, EchoServer::LocalSpec(), budget_.get());
  }
  int64_t used() const { return budget_->used_bytes(kConnections); }

  std::unique_ptr<MemoryBudget> budget_;
  std::unique_ptr<EchoServer> server_;
};

TEST_F(MemoryTransportTest, CallsAreRefusedAndEssentialOnesTaken) {
  Start(10 << 20);
  GrpcTestClient client(server_->address());
  EXPECT_TRUE(client.Unary("Unary", "x").status.ok());
  MemoryCharge others(*budget_, kConnections);
  others.Set(10 << 20);
  const grpc::Status refused = client.Unary("Unary", "x").status;
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.error_message(), "too many requests");
  EXPECT_EQ(budget_->refusals(kConnections), 1);
  EXPECT_TRUE(client.Unary("Metadata", "x").status.ok());
  // Whoever must ask how things are needs a connection first.
  GrpcTestClient late(server_->address());
  EXPECT_TRUE(late.Unary("Metadata", "x").status.ok());
  others.Set(13 << 20);
  EXPECT_FALSE(client.Unary("Metadata", "x").status.ok());
  others.Set(0);
  EXPECT_TRUE(client.Unary("Unary", "x").status.ok());
}

TEST_F(MemoryTransportTest, ConnectionsBeyondTheShareAreRefused) {
  Start(1 << 20);
  std::vector<std::unique_ptr<RawHttp2>> clients;
  for (int i = 0; i < 60; ++i) clients.push_back(std::make_unique<RawHttp2>(server_->port()));
  int open = 0;
  for (const auto& client : clients) open += client->Next().has_value();
  EXPECT_GT(open, 30);
  EXPECT_LT(open, 50);
  EXPECT_EQ(budget_->refusals(kConnections), 60 - open);
  clients.clear();
  EXPECT_TRUE(Eventually([&] { return server_->transport().open_connections() == 0; }));
  EXPECT_TRUE(RawHttp2(server_->port()).Next().has_value());
  server_.reset();
  EXPECT_EQ(used(), 0);
}

TEST_F(MemoryTransportTest, EverythingIsGivenBack) {
  Start(100 << 20);
  {
    GrpcTestClient client(server_->address());
    GrpcTestStream stream(client, "Bidi");
    std::string text;
    ASSERT_TRUE(stream.Write(std::string(1 << 20, 'x')) && stream.Read(text));
    EXPECT_TRUE(client.Unary("Unary", std::string(1 << 20, 'y')).status.ok());
    // Half a request, and one that is never answered.
    RawHttp2 raw(server_->port());
    raw.SendFrame(1, 4, 1, HeadersPayload(GrpcRequestHeaders("/test.Echo/Hang")));
    const std::string message = GrpcMessageBytes(std::string(99995, 'h'));
    for (size_t at = 0; at < message.size(); at += 10000) {
      raw.SendFrame(kData, at == 90000 ? 1 : 0, 1, message.substr(at, 10000));
    }
    raw.SendFrame(1, 4, 3, HeadersPayload(GrpcRequestHeaders("/test.Echo/Unary")));
    raw.SendFrame(kData, 0, 3, GrpcMessageBytes(std::string(9000, 'z')).substr(0, 8000));
    EXPECT_TRUE(Eventually([&] { return used() > 250000; })) << used();
  }
  EXPECT_TRUE(Eventually([&] { return server_->transport().open_connections() == 0; }));
  server_.reset();
  EXPECT_EQ(used(), 0);
}

// An answer that nobody reads is given up once memory is short; while there is enough, it waits.
TEST_F(MemoryTransportTest, AnAnswerThatIsNotReadIsCutOff) {
  Start(100 << 20, {.slow_answer_time = absl::Milliseconds(200)});
  RawHttp2 slow(server_->port());
  slow.SendRequest(1, "/test.Echo/Sized", "10000000");
  ASSERT_TRUE(slow.NextOfType(kData).has_value());
  GrpcTestClient client(server_->address());
  MemoryCharge others(*budget_, MemoryAccount::kReads);
  others.Set(budget_->share_bytes(MemoryAccount::kReads));
  const auto reset = slow.NextOfType(kResetStream);
  ASSERT_TRUE(reset.has_value());
  EXPECT_EQ(reset->stream_id, 1u);
  EXPECT_EQ(reset->payload, BigEndian32(0xb));  // ENHANCE_YOUR_CALM
  EXPECT_EQ(budget_->refusals(MemoryAccount::kReads), 1);
  EXPECT_TRUE(Eventually([&] { return server_->counters().cancelled_calls == 1; }));
  // Others on the same loops never notice.
  EXPECT_TRUE(client.Unary("Sized", "3000000").status.ok());
}

// Nor would the reset be, by a client that does not read at all: the connection goes.
TEST_F(MemoryTransportTest, AConnectionThatTakesNothingIsClosed) {
  // What the kernel's buffers take at once counts as taken: it must not last.
  Start(100 << 20,
        {.slow_answer_time = absl::Milliseconds(200), .slow_answer_bytes_per_second = 1 << 30});
  RawHttp2 stuck(server_->port());
  OpenWindows(stuck);
  stuck.SendRequest(1, "/test.Echo/Sized", "100000000");
  MemoryCharge others(*budget_, MemoryAccount::kReads);
  others.Set(budget_->share_bytes(MemoryAccount::kReads));
  ASSERT_TRUE(Eventually([&] { return server_->counters().messages.load() == 1; }));
  // Input is no sign that the client takes anything.
  EXPECT_TRUE(Eventually([&] {
    stuck.SendFrame(kWindowUpdate, 0, 0, BigEndian32(1));
    return server_->transport().open_connections() == 0;
  }));
  EXPECT_EQ(server_->counters().cancelled_calls, 1);
}

// Refusals are small, but a client that asks and never reads could have any number of them.
TEST_F(MemoryTransportTest, WhoDoesNotReadRefusalsIsNotReadEither) {
  Start(1000 << 20, {.slow_answer_time = absl::Milliseconds(200)});
  RawHttp2 client(server_->port());
  const std::string head = HeadersPayload(GrpcRequestHeaders("/test.Echo/NoSuchMethod"));
  constexpr int kRequestsMax = 1'000'000;
  std::string waiting;
  uint32_t stream_id = 1;
  bool is_stuck = false;
  while (!is_stuck && stream_id < 2 * kRequestsMax) {
    for (; waiting.size() < (1 << 20); stream_id += 2) {
      waiting += FrameBytes(kHeaders, 5, stream_id, head);
    }
    const ssize_t sent = send(client.client().fd(), waiting.data(), waiting.size(), MSG_DONTWAIT);
    if (sent > 0) {
      waiting.erase(0, static_cast<size_t>(sent));
      continue;
    }
    ASSERT_EQ(errno, EAGAIN);
    pollfd writable{client.client().fd(), POLLOUT, 0};
    is_stuck = poll(&writable, 1, 1000) == 0;
  }
  EXPECT_TRUE(is_stuck);
  EXPECT_GT(used(), 1 << 20);
  EXPECT_LT(used(), 20 << 20);
  GrpcTestClient other(server_->address());
  EXPECT_TRUE(other.Unary("Unary", "x").status.ok());
  MemoryCharge others(*budget_, MemoryAccount::kReads);
  others.Set(budget_->share_bytes(MemoryAccount::kReads));
  EXPECT_TRUE(Eventually([&] { return server_->transport().open_connections() == 1; }));
}

TEST_F(MemoryTransportTest, MetadataIsCounted) {
  Start(100 << 20);
  RawHttp2 client(server_->port());
  RawHeaders headers = GrpcRequestHeaders("/test.Echo/Hang");
  for (int i = 0; i < 3; ++i) headers.emplace_back("large", std::string(4000, 'x'));
  const int64_t before = used();
  for (uint32_t id = 1; id < 41; id += 2) {
    client.SendFrame(kHeaders, 4, id, HeadersPayload(headers));
  }
  EXPECT_TRUE(Eventually([&] { return used() - before > 20 * 12000; })) << used() - before;
}

// However much the client says it can take, what waits for the socket is bounded.
TEST_F(MemoryTransportTest, LargeWindowsDoNotFillTheOutputQueue) {
  Start(100 << 20);
  RawHttp2 slow(server_->port());
  OpenWindows(slow);
  slow.SendRequest(1, "/test.Echo/Sized", "100000000");
  size_t received = 0;
  while (received < 100000005) {
    const auto frame = slow.NextOfType(kData);
    ASSERT_TRUE(frame.has_value()) << received;
    received += frame->payload.size();
    ASSERT_LT(used(), 1 << 20);
  }
}

// While others ask for something a long answer rests now and then, and comes all the same.
TEST_F(MemoryTransportTest, ALongAnswerRestsForOthers) {
  Start(100 << 20);
  RawHttp2 reader(server_->port());
  OpenWindows(reader);
  const std::jthread others([this](const std::stop_token& stop) {
    GrpcTestClient client(server_->address());
    while (!stop.stop_requested()) EXPECT_TRUE(client.Unary("Unary", "x").status.ok());
  });
  ASSERT_TRUE(Eventually([this] { return server_->counters().messages.load() > 0; }));
  constexpr size_t kAnswerBytes = 200'000'000;
  reader.SendRequest(1, "/test.Echo/Sized", std::to_string(kAnswerBytes));
  size_t received = 0;
  while (received < kAnswerBytes + kGrpcPrefixBytes) {
    const auto frame = reader.NextOfType(kData);
    ASSERT_TRUE(frame.has_value()) << received;
    received += frame->payload.size();
  }
  EXPECT_GT(server_->transport().output_rests(), 0u);
}

// A stream is not: what waits for it is bounded, and kept.
TEST_F(MemoryTransportTest, AStreamThatIsNotReadKeepsItsOutput) {
  Start(100 << 20, {.slow_answer_time = absl::Milliseconds(200)});
  RawHttp2 slow(server_->port());
  MemoryCharge others(*budget_, MemoryAccount::kReads);
  others.Set(budget_->share_bytes(MemoryAccount::kReads));
  slow.SendFrame(1, 4, 1, HeadersPayload(GrpcRequestHeaders("/test.Echo/Pour")));
  slow.SendFrame(kData, 0, 1, GrpcMessageBytes("500000"));
  slow.SendRequest(3, "/test.Echo/Sized", "10000000");
  // By the time that the answer is cut off, the stream's output was copied.
  ASSERT_TRUE(slow.NextOfType(kResetStream).has_value());
  slow.SendFrame(kWindowUpdate, 0, 0, BigEndian32(1 << 30));
  slow.SendFrame(kWindowUpdate, 0, 1, BigEndian32(1 << 30));
  size_t received = 65535;  // what the windows held, skipped above with the other frames
  while (received < 500005 - 65535) {
    const auto frame = slow.NextOfType(kData);
    ASSERT_TRUE(frame.has_value()) << received;
    if (frame->stream_id == 1) received += frame->payload.size();
  }
  slow.SendFrame(kSettings, 1, 0);
}

}  // namespace
}  // namespace tidemark::server
