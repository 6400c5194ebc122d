// Framing, calls and connections, the latter against the bare server.
#include <string>
#include <vector>

#include "bench/tidebench/op.h"
#include "bench/tidebench/server_for_test.h"
#include "bench/tidebench/wire/framing.h"
#include "gtest/gtest.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {
namespace {

TEST(FramingTest, EveryCutOfTheBytesGivesTheSameMessages) {
  std::string bytes;
  for (const size_t size : {0, 1, 5, 300}) {
    etcdserverpb::PutRequest request;
    request.set_value(std::string(size, 'v'));
    AppendFramed(request, &bytes);
  }
  for (size_t first = 0; first <= bytes.size(); ++first) {
    for (size_t second = first; second <= bytes.size(); second += 7) {
      FrameReader reader;
      std::vector<size_t> sizes;
      const auto add = [&](size_t begin, size_t end) {
        EXPECT_TRUE(reader.Add(
            absl::string_view(bytes).substr(begin, end - begin), [&](absl::string_view message) {
              etcdserverpb::PutRequest request;
              ASSERT_TRUE(request.ParseFromArray(message.data(), static_cast<int>(message.size())));
              sizes.push_back(request.value().size());
            }));
      };
      add(0, first);
      add(first, second);
      add(second, bytes.size());
      ASSERT_EQ(sizes, (std::vector<size_t>{0, 1, 5, 300})) << first << ", " << second;
      ASSERT_FALSE(reader.holds_part());
    }
  }
}

TEST(FramingTest, ACompressedMessageIsRefused) {
  FrameReader reader;
  EXPECT_FALSE(reader.Add(absl::string_view("\1\0\0\0\0", 5), [](absl::string_view) {}));
}

TEST(EndpointTest, Parses) {
  const auto plain = ParseEndpoint("http://host:2379");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->authority(), "host:2379");
  EXPECT_FALSE(plain->tls);
  const auto tls = ParseEndpoint("https://[::1]:443/");
  ASSERT_TRUE(tls.ok());
  EXPECT_EQ(tls->host, "::1");
  EXPECT_TRUE(tls->tls);
  EXPECT_FALSE(ParseEndpoint("host").ok());
  EXPECT_FALSE(ParseEndpoint("http://:2379").ok());
}

// Remembers what it heard.
class TestCall : public Call {
 public:
  std::vector<std::string> messages;
  absl::optional<absl::Status> end;

 private:
  void OnMessage(absl::string_view message) override { messages.emplace_back(message); }
  void OnEnd(const absl::Status& status) override { end = status; }
};

void TurnUntilEnd(Client* client, const TestCall& call) {
  for (int i = 0; i < 1000 && !call.end; ++i) {
    (void)client->Turn(MonotonicNs() + 100'000'000, [] {});
  }
  ASSERT_TRUE(call.end.has_value());
}

TEST(ConnectionTest, MegabytesThereAndBack) {
  ServerForTest server;
  TestCall call;
  const auto client = server.Connect(1);
  Connection& connection = client->connection(0);
  etcdserverpb::PutRequest put;
  put.set_key("k");
  put.set_value(std::string(40 << 20, 'v'));  // more than any window
  connection.Start(&call, "/etcdserverpb.KV/Put");
  connection.Send(&call, put);
  connection.EndInput(&call);
  TurnUntilEnd(client.get(), call);
  ASSERT_TRUE(call.end->ok()) << *call.end;

  TestCall get;
  etcdserverpb::RangeRequest range;
  range.set_key("k");
  connection.Start(&get, "/etcdserverpb.KV/Range");
  connection.Send(&get, range);
  connection.EndInput(&get);
  TurnUntilEnd(client.get(), get);
  etcdserverpb::RangeResponse response;
  ASSERT_TRUE(get.end->ok()) << *get.end;
  ASSERT_EQ(get.messages.size(), 1);
  ASSERT_TRUE(response.ParseFromString(get.messages[0]));
  EXPECT_EQ(response.kvs(0).value(), put.value());
}

TEST(ConnectionTest, AnErrorHasItsCodeAndText) {
  ServerForTest server;
  TestCall call;
  const auto client = server.Connect(1);
  client->connection(0).Start(&call, "/etcdserverpb.KV/NoSuchMethod");
  client->connection(0).Send(&call, etcdserverpb::PutRequest());
  client->connection(0).EndInput(&call);
  TurnUntilEnd(client.get(), call);
  EXPECT_EQ(call.end->code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(call.end->message(), "not here");
}

TEST(ConnectionTest, AServerThatGoesEndsItsCalls) {
  TestCall call;
  auto server = std::make_unique<ServerForTest>();
  const auto client = server->Connect(1);
  client->connection(0).Start(&call, "/etcdserverpb.Watch/Watch", false);
  ASSERT_TRUE(client->Turn(MonotonicNs(), [] {}).ok());
  server.reset();
  TurnUntilEnd(client.get(), call);
  EXPECT_EQ(call.end->code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(client->connection(0).failure().ok());
}

TEST(ConnectionTest, ACancelledCallEnds) {
  ServerForTest server;
  TestCall call;
  const auto client = server.Connect(1);
  client->connection(0).Start(&call, "/etcdserverpb.Watch/Watch", false);
  ASSERT_TRUE(client->Turn(MonotonicNs(), [] {}).ok());
  client->connection(0).Cancel(&call);
  TurnUntilEnd(client.get(), call);
  EXPECT_FALSE(call.end->ok());
}

}  // namespace
}  // namespace tidemark::bench
