// The transport's parts that need no socket.

#include <gtest/gtest.h>

#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/base/posix_clock.h"
#include "src/server/transport/event_loop.h"
#include "src/server/transport/grpc_output.h"
#include "src/server/transport/grpc_wire.h"
#include "src/server/transport/http1_parser.h"
#include "src/server/transport/ping_policy.h"
#include "src/server/transport/allowance.h"

namespace tidemark::server {
namespace {

TEST(GrpcWireTest, Timeouts) {
  EXPECT_EQ(ParseGrpcTimeout("1S"), absl::Seconds(1));
  EXPECT_EQ(ParseGrpcTimeout("99999999m"), absl::Milliseconds(99999999));
  EXPECT_EQ(ParseGrpcTimeout("2H"), absl::Hours(2));
  EXPECT_EQ(ParseGrpcTimeout("3M"), absl::Minutes(3));
  EXPECT_EQ(ParseGrpcTimeout("4u"), absl::Microseconds(4));
  EXPECT_EQ(ParseGrpcTimeout("5n"), absl::Nanoseconds(5));
  for (const char* bad : {"", "1", "S", "100000000S", "-1S", "1 S", "1x", "1.5S"}) {
    EXPECT_EQ(ParseGrpcTimeout(bad), absl::nullopt) << bad;
  }
}

TEST(GrpcWireTest, PercentEncoding) {
  EXPECT_EQ(PercentEncode("etcdserver: no leader"), "etcdserver: no leader");
  EXPECT_EQ(PercentEncode("100%\n\xc3\xa4"), "100%25%0A%C3%A4");
}

TEST(GrpcWireTest, BinaryMetadata) {
  EXPECT_EQ(DecodeBinaryMetadata("AAH/"), std::string("\0\x01\xff", 3));
  EXPECT_EQ(DecodeBinaryMetadata("YQ"), "a");
  EXPECT_EQ(DecodeBinaryMetadata("YQ=="), "a");
  EXPECT_EQ(DecodeBinaryMetadata("!!"), absl::nullopt);
}

TEST(GrpcWireTest, ContentTypes) {
  for (const char* good : {"application/grpc", "application/grpc+proto", "application/grpc; x=y"}) {
    EXPECT_TRUE(IsGrpcContentType(good)) << good;
  }
  for (const char* bad : {"", "application/json", "application/grpcx", "application/gr"}) {
    EXPECT_FALSE(IsGrpcContentType(bad)) << bad;
  }
}

std::string Framed(const std::string& message) {
  const auto prefix = GrpcPrefix(static_cast<uint32_t>(message.size()));
  return std::string(prefix.data(), prefix.size()) + message;
}

TEST(GrpcMessageReaderTest, CutsHoweverTheBytesArrive) {
  const std::vector<std::string> messages = {"one", "", std::string(1000, 'x'), "", "last"};
  std::string bytes;
  for (const std::string& message : messages) bytes += Framed(message);
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    GrpcMessageReader reader(1000);
    std::vector<std::string> got;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      absl::string_view rest = absl::string_view(bytes).substr(at, piece);
      // Stops after each message, as a call does whose client does not read.
      while (!rest.empty()) {
        const auto keep = [&](absl::string_view message) {
          got.emplace_back(message);
          return false;
        };
        ASSERT_TRUE(reader.Add(rest, keep).ok());
      }
    }
    ASSERT_EQ(got, messages) << piece;
    ASSERT_EQ(reader.held_bytes(), 0u);
  }
}

TEST(GrpcOutputTest, PiecesOfAnySizeGiveTheSameBytes) {
  for (const size_t piece : {1, 2, 5, 7, 100, 5000, 100000}) {
    GrpcOutput output;
    std::string expected;
    for (const size_t size : {0, 1, 3000, 40, 70000}) {
      ByteChain chain;
      chain.Append(std::string(size, 'a'));
      chain.Append(std::string(size / 2, 'b'));
      expected += Framed(chain.Flatten());
      output.Add(std::move(chain));
    }
    std::string got;
    OutputQueue queue;
    while (!output.empty()) {
      output.Take(std::min(piece, output.size_bytes()), queue);
      std::string bytes(queue.size_bytes(), '\0');
      ASSERT_EQ(queue.CopyFront(bytes.data(), bytes.size()), bytes.size());
      // Leaves one byte, so that the queue keeps its place between additions.
      const size_t taken = bytes.size() > 1 ? bytes.size() - 1 : bytes.size();
      got += bytes.substr(0, taken);
      queue.Drop(taken);
    }
    std::string rest(queue.size_bytes(), '\0');
    queue.CopyFront(rest.data(), rest.size());
    ASSERT_EQ(got + rest, expected) << piece;
  }
}

// What is referred to may go once it was copied, wherever sending has got to.
TEST(GrpcOutputTest, OwnsWhatItIsToldToKeep) {
  for (const size_t taken : {0, 3, 5, 1000, 5000, 5005, 9000, 15009}) {
    GrpcOutput output;
    OutputQueue queue;
    std::string expected;
    std::vector<std::shared_ptr<std::string>> owners;
    for (const char fill : {'a', 'b', 'c'}) {
      ByteChain chain;
      for (int run = 0; run < 2; ++run) {
        owners.push_back(std::make_shared<std::string>(2500, static_cast<char>(fill + run)));
        chain.Append(SharedBytes(*owners.back(), owners.back()));
      }
      expected += Framed(chain.Flatten());
      output.Add(std::move(chain));
    }
    output.Take(taken, queue);
    EXPECT_GT(owners.back().use_count(), 1);
    output.OwnAll();
    queue.OwnAll();
    for (const auto& owner : owners) {
      EXPECT_EQ(owner.use_count(), 1) << taken;
      owner->assign(owner->size(), 'x');
    }
    output.OwnAll();
    while (!output.empty()) output.Take(std::min<size_t>(777, output.size_bytes()), queue);
    std::string got(queue.size_bytes(), '\0');
    queue.CopyFront(got.data(), got.size());
    EXPECT_EQ(got, expected) << taken;
  }
}

TEST(PingPolicyTest, ThreeStrikes) {
  PingPolicy policy(absl::Seconds(5));
  absl::Duration now = absl::Hours(100);
  EXPECT_TRUE(policy.OnPing(now, true));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(policy.OnPing(now += absl::Seconds(5), true));
  EXPECT_TRUE(policy.OnPing(now += absl::Seconds(1), true));
  EXPECT_TRUE(policy.OnPing(now += absl::Seconds(1), true));
  EXPECT_FALSE(policy.OnPing(now += absl::Seconds(1), true));
}

TEST(PingPolicyTest, WithoutCallsPingsAreStrikes) {
  PingPolicy policy(absl::Seconds(5));
  absl::Duration now = absl::Hours(100);
  EXPECT_TRUE(policy.OnPing(now, false));
  EXPECT_TRUE(policy.OnPing(now += absl::Seconds(30), false));
  EXPECT_TRUE(policy.OnPing(now += absl::Seconds(30), false));
  EXPECT_FALSE(policy.OnPing(now += absl::Seconds(30), false));
}

TEST(PingPolicyTest, SendingForgives) {
  PingPolicy policy(absl::Seconds(5));
  for (int i = 0; i < 100; ++i) {
    policy.OnSent();
    EXPECT_TRUE(policy.OnPing(absl::Hours(1) + absl::Milliseconds(i), true));
  }
}

TEST(AllowanceTest, WhoStaysBelowTheRateMayGoOnAsLongAsHeLikes) {
  Allowance allowance({.burst = 100, .per_second = 20});
  absl::Duration now = absl::Hours(100);
  for (int i = 0; i < 10000; ++i) {
    EXPECT_TRUE(allowance.Take(now += absl::Milliseconds(100), 1.8)) << i;
  }
}

TEST(AllowanceTest, ABurstEndsSoonerTheMoreEachCosts) {
  const auto taken = [](double cost) {
    Allowance allowance({.burst = 100, .per_second = 20});
    int count = 0;
    while (allowance.Take(absl::Hours(100), cost)) ++count;
    return count;
  };
  EXPECT_EQ(taken(1), 100);
  EXPECT_EQ(taken(2), 50);
  EXPECT_EQ(taken(100), 1);
}

struct ParserCase {
  const char* name;
  std::string bytes;
  int status;  // 0: a request
};

TEST(Http1ParserTest, Table) {
  const std::string host = "Host: x\r\n";
  const ParserCase cases[] = {
      {"plain", "GET / HTTP/1.1\r\n" + host + "\r\n", 0},
      {"leading empty line", "\r\nGET / HTTP/1.1\r\n" + host + "\r\n", 0},
      {"1.0 without host", "GET / HTTP/1.0\r\n\r\n", 0},
      {"absolute form", "GET http://x/path HTTP/1.1\r\n" + host + "\r\n", 0},
      {"body", "POST / HTTP/1.1\r\n" + host + "Content-Length: 2\r\n\r\nab", 0},
      {"chunks",
       "POST / HTTP/1.1\r\n" + host +
           "Transfer-Encoding: chunked\r\n\r\n"
           "2\r\nab\r\n0\r\ntrailer: x\r\n\r\n",
       0},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
      {"bare line feed", "GET / HTTP/1.1\n" + host + "\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"no version", "GET /\r\n" + host + "\r\n", 400},
      {"bad version", "GET / HTTX/1.1\r\n" + host + "\r\n", 400},
      {"other version", "GET / HTTP/3.0\r\n" + host + "\r\n", 505},
      {"bad method", "G(T / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"relative target", "GET path HTTP/1.1\r\n" + host + "\r\n", 400},
      {"control in target", "GET /\x01 HTTP/1.1\r\n" + host + "\r\n", 400},
      {"space before colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
      {"folded line", "GET / HTTP/1.1\r\n" + host + "a: b\r\n c\r\n\r\n", 400},
      {"no colon", "GET / HTTP/1.1\r\n" + host + "nothing\r\n\r\n", 400},
      {"control in value", "GET / HTTP/1.1\r\n" + host + "a: b\x02\r\n\r\n", 400},
      {"two lengths",
       "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
      {"negative length", "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
      {"length and chunks",
       "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"chunks in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"other coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {"bad chunk size", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
       400},
      {"chunk too long",
       "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", 400},
      {"huge chunk",
       "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n", 413},
      {"too long", "POST / HTTP/1.1\r\n" + host + "Content-Length: 101\r\n\r\n", 413},
      {"long line", "GET /" + std::string(2000, 'x') + " HTTP/1.1\r\n" + host + "\r\n", 431},
      {"expectation", "POST / HTTP/1.1\r\n" + host + "Expect: more\r\n\r\n", 417},
  };
  Http1Limits limits;
  limits.max_head_bytes = 1000;
  limits.max_body_bytes = 100;
  for (const ParserCase& c : cases) {
    for (const size_t piece : {size_t{1}, size_t{3}, c.bytes.size()}) {
      Http1Parser parser(limits);
      Http1Parser::Result result = Http1Parser::Result::kMore;
      for (size_t at = 0; at < c.bytes.size() && result == Http1Parser::Result::kMore;
           at += piece) {
        absl::string_view bytes = absl::string_view(c.bytes).substr(at, piece);
        result = parser.Parse(bytes);
      }
      if (c.status == 0) {
        EXPECT_EQ(result, Http1Parser::Result::kRequest) << c.name << " by " << piece;
      } else {
        ASSERT_EQ(result, Http1Parser::Result::kError) << c.name << " by " << piece;
        EXPECT_EQ(parser.error_status(), c.status) << c.name << " by " << piece;
      }
    }
  }
}

TEST(Http1ParserTest, TooManyHeaders) {
  Http1Parser parser({});
  std::string bytes = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 100; ++i) absl::StrAppend(&bytes, "h", i, ": v\r\n");
  absl::string_view rest = bytes;
  EXPECT_EQ(parser.Parse(rest), Http1Parser::Result::kError);
  EXPECT_EQ(parser.error_status(), 431);
}

TEST(EventLoopTest, TasksRunInOrderAndTimersInTime) {
  const PosixClock clock;
  EventLoop loop(clock, "test");
  loop.Start();
  std::vector<int> order;
  std::latch done(1);
  EXPECT_FALSE(loop.IsCurrent());
  for (int i = 0; i < 1000; ++i) {
    loop.Post([&, i] {
      EXPECT_TRUE(loop.IsCurrent());
      order.push_back(i);
    });
  }
  const absl::Duration start = clock.Monotonic();
  loop.PostAt(start + absl::Milliseconds(20), [&] {
    EXPECT_GE(clock.Monotonic(), start + absl::Milliseconds(20));
    order.push_back(1001);
    done.count_down();
  });
  const TimerId dropped = loop.PostAt(start + absl::Milliseconds(15), [&] { order.push_back(-1); });
  loop.PostAt(start + absl::Milliseconds(5), [&] { order.push_back(1000); });
  loop.Cancel(dropped);
  done.wait();
  loop.Stop();
  loop.Join();
  ASSERT_EQ(order.size(), 1002u);
  for (int i = 0; i < 1002; ++i) EXPECT_EQ(order[i], i);
}

TEST(EventLoopTest, ATimerMayCancelTheNext) {
  const PosixClock clock;
  EventLoop loop(clock, "test");
  std::latch done(1);
  const absl::Duration when = clock.Monotonic();
  TimerId second = 0;
  bool ran = false;
  loop.PostAt(when, [&] { loop.Cancel(second); });
  second = loop.PostAt(when, [&] { ran = true; });
  loop.PostAt(when, [&] { done.count_down(); });
  loop.Start();
  done.wait();
  loop.Stop();
  loop.Join();
  EXPECT_FALSE(ran);
}

TEST(EventLoopTest, ManyPosters) {
  const PosixClock clock;
  EventLoop loop(clock, "test");
  loop.Start();
  constexpr int kThreads = 4, kTasks = 20000;
  int64_t count = 0;
  std::latch done(1);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTasks; ++i) {
        loop.Post([&] {
          if (++count == kThreads * kTasks) done.count_down();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  done.wait();
  loop.Stop();
  loop.Join();
}

}  // namespace
}  // namespace tidemark::server
