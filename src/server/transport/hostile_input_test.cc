// Clients that break the rules: the server answers or closes, and keeps serving others.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/server/transport/echo_fixture.h"
#include "src/server/transport/raw_client.h"

namespace tidemark::server {
namespace {

constexpr uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoaway = 7,
                  kWindowUpdate = 8;
constexpr uint32_t kEnhanceYourCalm = 11;

uint32_t GoawayCode(const RawFrame& frame) {
  uint32_t code = 0;
  for (const char c : frame.payload.substr(4, 4)) code = code << 8 | static_cast<uint8_t>(c);
  return code;
}

void ExpectServes(EchoServer& server) {
  RawHttp2 client(server.port());
  ASSERT_TRUE(client.SendRequest(1, "/test.Echo/Unary", "hello"));
  const auto data = client.NextOfType(kData);
  ASSERT_TRUE(data.has_value());
  EXPECT_EQ(data->payload, GrpcMessageBytes("hello"));
}

TEST(HostileInputTest, GarbageIsAnsweredOrClosed) {
  EchoServer server;
  for (const std::string& garbage :
       {std::string("\x16\x03\x01\x02\x00"), std::string("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
        std::string(100000, 'A'), std::string(1000, '\0'), std::string("GET\r\n\r\n")}) {
    RawClient client(server.port());
    client.Send(garbage);
    client.CloseWrite();
    const std::string answer = client.ReadAll();
    EXPECT_TRUE(answer.empty() || absl::StartsWith(answer, "HTTP/1.1 4") ||
                absl::StartsWith(answer, "HTTP/1.1 505"))
        << answer;
  }
  ExpectServes(server);
}

TEST(HostileInputTest, ByteByByteIsFine) {
  EchoServer server;
  RawClient client(server.port());
  const std::string all = absl::StrCat(
      kRawPreface, FrameBytes(kSettings, 0, 0, ""),
      FrameBytes(kHeaders, 4, 1, HeadersPayload(GrpcRequestHeaders("/test.Echo/Unary"))),
      FrameBytes(kData, 1, 1, GrpcMessageBytes("slow but right")));
  for (const char c : all) ASSERT_TRUE(client.Send(absl::string_view(&c, 1)));
  EXPECT_TRUE(absl::EndsWith(client.ReadUntil("slow but right"), "slow but right"));
}

TEST(HostileInputTest, SilentConnectionsAreClosed) {
  EchoServer server({.handshake_timeout = absl::Milliseconds(50)});
  RawClient client(server.port());
  EXPECT_EQ(client.ReadAll(), "");
  RawClient half(server.port());
  half.Send("PRI * HT");
  EXPECT_EQ(half.ReadAll(), "");
  EXPECT_TRUE(Eventually([&] { return server.transport().open_connections() == 0; }));
}

TEST(HostileInputTest, ConnectionsThatAreGoneLeaveNoTimers) {
  EchoServer server({.loop_count = 1});
  for (int i = 0; i < 50; ++i) {
    RawHttp2 client(server.port());
    ASSERT_TRUE(client.Next().has_value());
  }
  const auto& loop = static_cast<EventLoop&>(server.transport().loop(0));
  EXPECT_TRUE(Eventually([&] { return loop.timer_count() < 10; }));
}

TEST(HostileInputTest, HalfFramesThenGone) {
  EchoServer server;
  for (size_t size = 1; size < 60; ++size) {
    RawHttp2 client(server.port());
    const std::string request =
        FrameBytes(kHeaders, 4, 1, HeadersPayload(GrpcRequestHeaders("/test.Echo/Hang"))) +
        FrameBytes(kData, 0, 1, GrpcMessageBytes("never complete"));
    client.client().Send(absl::string_view(request).substr(0, request.size() - size));
  }
  EXPECT_TRUE(Eventually([&] { return server.transport().open_connections() == 0; }));
  EXPECT_EQ(server.counters().open_calls.load(), 0);
  ExpectServes(server);
}

TEST(HostileInputTest, OversizedHeadersEndTheConnectionOrTheCall) {
  EchoServer server({.max_metadata_bytes = 4096});
  {
    RawHttp2 client(server.port());
    RawHeaders headers = GrpcRequestHeaders("/test.Echo/Unary");
    headers.emplace_back("large", std::string(6000, 'x'));
    client.SendFrame(kHeaders, 5, 1, HeadersPayload(headers));
    const auto answer = client.NextOfType(kHeaders);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->flags & 1, 1);  // refused at once
  }
  {
    RawHttp2 client(server.port());
    RawHeaders headers = GrpcRequestHeaders("/test.Echo/Unary");
    for (int i = 0; i < 3; ++i) headers.emplace_back("large", std::string(5500, 'x'));
    client.SendFrame(kHeaders, 5, 1, HeadersPayload(headers).substr(0, 16000));
    client.client().CloseWrite();
    client.client().ReadAll();
  }
  EXPECT_EQ(server.counters().messages.load(), 0);
  ExpectServes(server);
}

TEST(HostileInputTest, BrokenHeadersEndTheCallOnly) {
  EchoServer server;
  RawHttp2 client(server.port());
  RawHeaders twice = GrpcRequestHeaders("/test.Echo/Unary");
  twice.insert(twice.begin(), {":path", "/test.Echo/Unary"});
  RawHeaders upper = GrpcRequestHeaders("/test.Echo/Unary");
  upper.emplace_back("Upper", "x");
  RawHeaders hop = GrpcRequestHeaders("/test.Echo/Unary");
  hop.emplace_back("connection", "close");
  uint32_t stream_id = 1;
  for (const RawHeaders& headers : {twice, upper, hop}) {
    client.SendFrame(kHeaders, 5, stream_id, HeadersPayload(headers));
    const auto reset = client.NextOfType(kReset);
    ASSERT_TRUE(reset.has_value());
    EXPECT_EQ(reset->stream_id, stream_id);
    EXPECT_EQ(reset->payload, std::string("\0\0\0\1", 4));  // PROTOCOL_ERROR
    stream_id += 2;
  }
  EXPECT_TRUE(client.SendRequest(stream_id, "/test.Echo/Unary", "still there"));
  const auto answer = client.NextOfType(kHeaders);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->stream_id, stream_id);
  ExpectServes(server);
}

TEST(HostileInputTest, RapidResetIsStopped) {
  EchoServer server;
  RawHttp2 client(server.port());
  bool alive = true;
  const std::string headers = HeadersPayload(GrpcRequestHeaders("/test.Echo/Hang"));
  uint32_t stream_id = 1;
  for (int i = 0; i < 100000 && alive; ++i, stream_id += 2) {
    alive = client.client().Send(FrameBytes(kHeaders, 4, stream_id, headers) +
                                 FrameBytes(kReset, 0, stream_id, std::string("\0\0\0\x08", 4)));
  }
  if (alive) {
    const auto goaway = client.NextOfType(kGoaway);
    ASSERT_TRUE(goaway.has_value());
  }
  EXPECT_TRUE(Eventually([&] { return server.counters().open_calls.load() == 0; }));
  ExpectServes(server);
}

// The client breaks its own streams (windows that overflow) so that the server resets them.
TEST(HostileInputTest, MakingTheServerResetIsStopped) {
  EchoServer server;
  RawHttp2 client(server.port());
  const std::string headers = HeadersPayload(GrpcRequestHeaders("/test.Echo/Hang"));
  bool alive = true;
  for (uint32_t i = 0; i < 3000 && alive; ++i) {
    alive = client.client().Send(FrameBytes(kHeaders, 4, 2 * i + 1, headers) +
                                 FrameBytes(8, 0, 2 * i + 1, std::string("\x7f\xff\xff\xff", 4)));
  }
  const auto goaway = client.NextOfType(kGoaway);
  ASSERT_TRUE(goaway.has_value());
  EXPECT_EQ(GoawayCode(*goaway), kEnhanceYourCalm);
  client.client().ReadAll();
  EXPECT_TRUE(Eventually([&] { return server.transport().open_connections() == 0; }));
  EXPECT_EQ(server.counters().open_calls.load(), 0);
}

TEST(HostileInputTest, TooManyPings) {
  EchoServer server;
  RawHttp2 client(server.port());
  for (int i = 0; i < 6; ++i) client.SendFrame(kPing, 0, 0, "12345678");
  const auto goaway = client.NextOfType(kGoaway);
  ASSERT_TRUE(goaway.has_value());
  EXPECT_EQ(GoawayCode(*goaway), kEnhanceYourCalm);
  EXPECT_EQ(goaway->payload.substr(8), "too_many_pings");
  client.client().ReadAll();
}

TEST(HostileInputTest, PingsBetweenAnswersAreForgiven) {
  EchoServer server;
  RawHttp2 client(server.port());
  for (uint32_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(client.SendRequest(2 * i + 1, "/test.Echo/Unary", "x"));
    ASSERT_TRUE(client.NextOfType(kData).has_value()) << i;
    ASSERT_TRUE(client.SendFrame(kPing, 0, 0, "12345678"));
  }
}

TEST(HostileInputTest, ServerPingsAndClosesWithoutAnswer) {
  EchoServer server(
      {.keepalive = {.interval = absl::Milliseconds(30), .timeout = absl::Milliseconds(30)}});
  RawHttp2 client(server.port());
  EXPECT_TRUE(client.NextOfType(kPing).has_value());
  EXPECT_FALSE(client.NextOfType(kHeaders).has_value());
  EXPECT_TRUE(Eventually([&] { return server.transport().open_connections() == 0; }));
}

TEST(HostileInputTest, PingsWithoutALimitOfTimeHoldNobodyUp) {
  EchoServer server({.keepalive = {.interval = absl::Milliseconds(30), .timeout = {}}});
  RawHttp2 idle(server.port());
  EXPECT_TRUE(idle.NextOfType(kPing).has_value());
  RawHttp2 client(server.port());
  ASSERT_TRUE(client.SendRequest(1, "/test.Echo/Unary", "x"));
  EXPECT_TRUE(client.NextOfType(kData).has_value());
  EXPECT_TRUE(idle.NextOfType(kPing).has_value());
}

TEST(HostileInputTest, AdvertisesItsSettings) {
  EchoServer server({.max_concurrent_streams = 7});
  RawHttp2 client(server.port());
  const auto settings = client.NextOfType(kSettings);
  ASSERT_TRUE(settings.has_value());
  EXPECT_TRUE(absl::StrContains(settings->payload, absl::string_view("\0\x03\0\0\0\x07", 6)));
  // No tree of priorities, which clients could make as deep as they have calls.
  EXPECT_TRUE(absl::StrContains(settings->payload, absl::string_view("\0\x09\0\0\0\x01", 6)));
}

// Each of them may cost as much as there are calls.
TEST(HostileInputTest, SettingsWithoutEndAreStopped) {
  EchoServer server;
  RawHttp2 client(server.port());
  const std::string window = FrameBytes(kSettings, 0, 0, absl::string_view("\0\x04\0\1\0\0", 6));
  std::string flood;
  for (int i = 0; i < 500; ++i) flood += window;
  client.client().Send(flood);
  // What a served call would answer to is the ping.
  client.SendFrame(kPing, 0, 0, "12345678");
  int acknowledged = 0;
  absl::optional<RawFrame> frame;
  while ((frame = client.Next()).has_value() && frame->type != kGoaway && frame->type != kPing) {
    acknowledged += frame->type == kSettings && frame->flags == 1;
  }
  ASSERT_TRUE(frame.has_value());
  ASSERT_EQ(frame->type, kGoaway);
  EXPECT_EQ(GoawayCode(*frame), kEnhanceYourCalm);
  EXPECT_LT(acknowledged, 200);
  ExpectServes(server);
}

TEST(HostileInputTest, AFewSettingsAreFine) {
  EchoServer server;
  RawHttp2 client(server.port());
  for (int i = 0; i < 90; ++i) {
    client.SendFrame(kSettings, 0, 0, absl::string_view("\0\x04\0\1\0\0", 6));
  }
  ASSERT_TRUE(client.SendRequest(1, "/test.Echo/Unary", "x"));
  EXPECT_TRUE(client.NextOfType(kData).has_value());
}

// Everything that is to be sent on a connection has its turn, whatever was there first.
TEST(HostileInputTest, AShortAnswerOvertakesALongOne) {
  EchoServer server;
  RawHttp2 client(server.port());
  client.SendFrame(kSettings, 0, 0, absl::string_view("\0\x04\x40\0\0\0", 6));
  client.SendFrame(kWindowUpdate, 0, 0, absl::string_view("\x40\0\0\0", 4));
  const std::string headers = HeadersPayload(GrpcRequestHeaders("/test.Echo/Unary"));
  const std::string message = GrpcMessageBytes(std::string(60000, 'x'));
  std::string both = FrameBytes(kHeaders, 4, 1, headers);
  for (size_t at = 0; at < message.size(); at += 15000) {
    const bool last = at + 15000 >= message.size();
    both += FrameBytes(kData, last ? 1 : 0, 1, absl::string_view(message).substr(at, 15000));
  }
  both += FrameBytes(kHeaders, 4, 3, headers) + FrameBytes(kData, 1, 3, GrpcMessageBytes("short"));
  client.client().Send(both);
  std::string ends;
  absl::optional<RawFrame> frame;
  while (ends.size() < 2 && (frame = client.Next()).has_value()) {
    if ((frame->flags & 1) == 0 || (frame->type != kHeaders && frame->type != kData)) continue;
    ends += frame->stream_id == 3 ? 's' : 'l';
  }
  EXPECT_EQ(ends, "sl");
}

// Clients take only so much metadata, and the library that makes frames gives up silently beyond.
TEST(HostileInputTest, TextsThatRepeatWhatAClientSentAreCut) {
  EchoServer server;
  RawHttp2 client(server.port());
  RawHeaders headers = GrpcRequestHeaders("/test.Echo/" + std::string(15000, '%'));
  client.SendFrame(kHeaders, 5, 1, HeadersPayload(headers));
  const auto answer = client.NextOfType(kHeaders);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->flags & 1, 1);
  EXPECT_LT(answer->payload.size(), 8000u);
}

TEST(HostileInputTest, BrokenMessagesEndTheCallOnly) {
  EchoServer server;
  RawHttp2 client(server.port());
  const std::string headers = HeadersPayload(GrpcRequestHeaders("/test.Echo/Unary"));
  const std::string bodies[] = {
      std::string("\x01\0\0\0\x01x", 6),     // compressed
      std::string("\x07\0\0\0\x01x", 6),     // no such flag
      std::string("\0\xff\xff\xff\xff", 5),  // 4 GiB announced
      std::string("\0\0\0\0\x05xy", 7),      // too short
      std::string("\0\0", 2),                // no prefix
      "",                                    // nothing
      GrpcMessageBytes("a") + GrpcMessageBytes("b"),
  };
  uint32_t stream_id = 1;
  for (const std::string& body : bodies) {
    client.SendFrame(kHeaders, 4, stream_id, headers);
    client.SendFrame(kData, 1, stream_id, body);
    stream_id += 2;
    ASSERT_TRUE(client.NextOfType(kHeaders).has_value()) << stream_id;
  }
  ASSERT_TRUE(client.SendRequest(stream_id, "/test.Echo/Unary", "fine"));
  while (true) {
    const auto data = client.NextOfType(kData);
    ASSERT_TRUE(data.has_value());
    if (data->stream_id == stream_id) break;
  }
}

// Several messages in one frame: the second waits until the first one's answer was taken.
TEST(HostileInputTest, MessagesWaitAlsoWithinOneFrame) {
  EchoServer server;
  RawHttp2 client(server.port());
  std::string body;
  for (int i = 0; i < 10; ++i) body += GrpcMessageBytes("4000000");
  client.SendFrame(kHeaders, 4, 1, HeadersPayload(GrpcRequestHeaders("/test.Echo/Pour")));
  client.SendFrame(kData, 1, 1, body);
  ASSERT_TRUE(client.SendRequest(3, "/test.Echo/Fail", "0 "));
  while (true) {
    const auto headers = client.NextOfType(kHeaders);
    ASSERT_TRUE(headers.has_value());
    if (headers->stream_id == 3) break;
  }
  EXPECT_EQ(server.counters().messages.load(), 2);
  EXPECT_LE(server.counters().max_unsent_bytes.load(), 4'000'005);
}

// Input held for calls whose answers are not read goes back to the window when they are cancelled.
TEST(HostileInputTest, CancelledCallsReturnHeldInput) {
  EchoServer server;
  RawHttp2 client(server.port());
  client.SendFrame(kSettings, 1, 0);  // stream windows grow with the acknowledgement
  const std::string headers = HeadersPayload(GrpcRequestHeaders("/test.Echo/Pour"));
  const std::string piece(10'000, ' ');
  uint32_t stream_id = 1;
  for (int i = 0; i < 40; ++i, stream_id += 2) {  // 40 MB through a window of 16 MiB
    std::string bytes = FrameBytes(kHeaders, 4, stream_id, headers) +
                        FrameBytes(kData, 0, stream_id, GrpcMessageBytes("20000000"));
    for (int k = 0; k < 100; ++k) bytes += FrameBytes(kData, 0, stream_id, piece);
    bytes += FrameBytes(kReset, 0, stream_id, std::string("\0\0\0\x08", 4));
    ASSERT_TRUE(client.client().Send(bytes)) << i;
  }
  // Not on this connection's output window, which the floods used up: headers alone answer.
  client.SendRequest(stream_id, "/test.Echo/Fail", "5 still served");
  while (true) {
    const auto answer = client.NextOfType(kHeaders);
    ASSERT_TRUE(answer.has_value());
    if (answer->stream_id == stream_id) break;
  }
}

// Valid frames with random damage, and pure noise: no crash (ASan watches), no stuck calls.
TEST(HostileInputTest, RandomBytes) {
  EchoServer server;
  std::mt19937 random(20240611);
  const std::string request =
      FrameBytes(kHeaders, 4, 1, HeadersPayload(GrpcRequestHeaders("/test.Echo/Bidi"))) +
      FrameBytes(kData, 0, 1, GrpcMessageBytes("some message")) +
      FrameBytes(8, 0, 1, std::string("\0\0\x10\0", 4)) + FrameBytes(kPing, 0, 0, "12345678") +
      FrameBytes(kData, 1, 1, GrpcMessageBytes("another message"));
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = request;
    const size_t damage = random() % 8;
    for (size_t d = 0; d < damage; ++d)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    if (random() % 2 == 0) {
      RawHttp2 client(server.port());
      client.client().Send(bytes);
      if (random() % 8 == 0) client.client().CloseWrite();
    } else {
      RawClient client(server.port());
      for (char& c : bytes) c = static_cast<char>(random());
      client.Send(bytes);
    }
  }
  EXPECT_TRUE(Eventually([&] { return server.transport().open_connections() == 0; }));
  EXPECT_EQ(server.counters().open_calls.load(), 0);
  ExpectServes(server);
}

TEST(HostileInputTest, AFullPortMayGiveTheLongestIdleOnesPlaceAway) {
  EchoServer server({.max_connections = 3, .replaces_idle_connections = true});
  const std::string ask = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  RawClient silent(server.port());
  RawClient asked(server.port());
  RawClient stuck(server.port());
  ASSERT_TRUE(Eventually([&] { return server.transport().open_connections() == 3; }));
  for (RawClient* client : {&asked, &stuck}) {
    client->Send(ask);
    EXPECT_THAT(client->ReadUntil("hello\n"), testing::HasSubstr("200 OK"));
  }
  stuck.Send("GET /hel");
  RawClient fourth(server.port());
  fourth.Send(ask);
  EXPECT_THAT(fourth.ReadUntil("hello\n"), testing::HasSubstr("200 OK"));
  EXPECT_EQ(silent.ReadAll(), "");
  RawClient fifth(server.port());
  fifth.Send(ask);
  EXPECT_THAT(fifth.ReadUntil("hello\n"), testing::HasSubstr("200 OK"));
  EXPECT_EQ(asked.ReadAll(), "");
  EXPECT_EQ(server.transport().open_connections(), 3);
}

// Connections over HTTP/2 have no reason to come where there is no gRPC.
TEST(HostileInputTest, HttpTwoNeedsGrpcOrTls) {
  ListenerSpec spec = EchoServer::LocalSpec();
  spec.serves_grpc = false;
  EchoServer server({}, spec);
  RawClient client(server.port());
  client.Send(kRawPreface);
  EXPECT_THAT(client.ReadAll(), testing::StartsWith("HTTP/1.1 "));
}

TEST(HostileInputTest, TooManyConnections) {
  EchoServer server({.max_connections = 2});
  RawHttp2 first(server.port());
  RawHttp2 second(server.port());
  ASSERT_TRUE(first.Next().has_value() && second.Next().has_value());
  RawHttp2 third(server.port());
  EXPECT_FALSE(third.Next().has_value());
}

}  // namespace
}  // namespace tidemark::server
