// Plain HTTP on the client port: 1.1 by hand, and both versions by curl.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include <array>
#include <cstdio>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/server/transport/echo_fixture.h"
#include "src/server/transport/raw_client.h"

namespace tidemark::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Ask(EchoServer& server, absl::string_view request) {
  RawClient client(server.port());
  client.Send(request);
  client.CloseWrite();
  return client.ReadAll();
}

std::string Curl(const std::string& arguments) {
  FILE* pipe = popen(("curl -s --max-time 20 " + arguments + " 2>&1").c_str(), "r");
  std::string output;
  std::array<char, 4096> buffer;
  size_t n = 0;
  while ((n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0) output.append(buffer.data(), n);
  EXPECT_EQ(pclose(pipe), 0) << output;
  return output;
}

TEST(HttpTransportTest, GetAndHead) {
  EchoServer server;
  const std::string answer = Ask(server, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nhello\n"));
  const std::string head = Ask(server, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
}

TEST(HttpTransportTest, PipelinedRequestsAreAnsweredInOrder) {
  EchoServer server;
  const std::string answers = Ask(server,
                                  "GET /where?1 HTTP/1.1\r\nHost: x\r\n\r\n"
                                  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\ntwo"
                                  "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                                  "\r\n3\r\nthr\r\n2;x=y\r\nee\r\n0\r\n\r\n"
                                  "GET /where?4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                                  "GET /where?5 HTTP/1.1\r\nHost: x\r\n\r\n");
  const size_t one = answers.find("GET /where 1");
  const size_t two = answers.find("two");
  const size_t three = answers.find("three");
  const size_t four = answers.find("GET /where 4");
  EXPECT_LT(one, two);
  EXPECT_LT(two, three);
  EXPECT_LT(three, four);
  EXPECT_LT(four, answers.size());
  EXPECT_THAT(answers, ::testing::Not(HasSubstr("where 5")));
}

TEST(HttpTransportTest, BrokenRequestsAreAnsweredAndClosed) {
  EchoServer server({.max_metadata_bytes = 4096, .max_http_body_bytes = 1000});
  const struct {
    std::string request;
    const char* status;
  } cases[] = {
      {"nonsense\r\n\r\n", "400"},
      {"GET /hello HTTP/1.1\r\n\r\n", "400"},
      {"GET /hello HTTP/2.5\r\nHost: x\r\n\r\n", "505"},
      {"GET /hello HTTP/1.1\r\nHost: x\r\nlong: " + std::string(5000, 'x') + "\r\n\r\n", "431"},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", "413"},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", "413"},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
  };
  for (const auto& c : cases) {
    const std::string answer = Ask(server, c.request);
    EXPECT_THAT(answer, StartsWith(absl::StrCat("HTTP/1.1 ", c.status))) << c.request.substr(0, 50);
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  }
}

// One whose answer is larger than what the sockets hold is still being written by then.
TEST(HttpTransportTest, WhoeverClosesItsSideGetsTheRestOfAnAnswer) {
  const std::string body(16 << 20, 'b');
  EchoServer server({.max_http_body_bytes = body.size()});
  RawClient client(server.port());
  client.Send(absl::StrCat("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: ", body.size(),
                           "\r\n\r\n", body));
  int received_bytes = 0;
  ASSERT_TRUE(Eventually(
      [&] { return ioctl(client.fd(), FIONREAD, &received_bytes) == 0 && received_bytes > 0; }));
  client.CloseWrite();
  const std::string answer = client.ReadAll();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_GT(answer.size(), body.size());
}

TEST(HttpTransportTest, SlowRequestsTimeOut) {
  EchoServer server({.http1_request_timeout = absl::Milliseconds(50),
                     .http1_idle_timeout = absl::Milliseconds(50)});
  RawClient client(server.port());
  client.Send("GET /hel");
  EXPECT_THAT(client.ReadAll(), StartsWith("HTTP/1.1 408"));
  RawClient idle(server.port());
  idle.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(idle.ReadAll(), EndsWith("hello\n"));  // and then closed
}

TEST(HttpTransportTest, ExpectContinue) {
  EchoServer server;
  RawClient client(server.port());
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 100 Continue"));
  client.Send("body");
  EXPECT_THAT(client.ReadUntil("body"), StartsWith("HTTP/1.1 200 OK"));
}

TEST(HttpTransportTest, GrpcOnlyPortServesNoHttp) {
  ListenerSpec spec = EchoServer::LocalSpec();
  spec.serves_http = false;
  EchoServer server({}, spec);
  EXPECT_EQ(Ask(server, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"), "");
}

TEST(HttpTransportTest, Curl) {
  EchoServer server;
  const std::string url = absl::StrCat("http://", server.address());
  for (const std::string version : {"--http1.1", "--http1.0", "--http2-prior-knowledge"}) {
    EXPECT_EQ(Curl(version + " " + url + "/hello"), "hello\n") << version;
    EXPECT_EQ(Curl(version + " '" + url + "/where?a=b'"), "GET /where a=b") << version;
    EXPECT_EQ(Curl(version + " -d some-data " + url + "/echo"), "some-data") << version;
    EXPECT_EQ(Curl(version + " -o /dev/null -w '%{http_code}' " + url + "/none"), "404");
    EXPECT_EQ(Curl(version + " -I -o /dev/null -w '%{http_code}' " + url + "/hello"), "200");
  }
  const std::string file = absl::StrCat(::testing::TempDir(), "body-", getpid());
  std::FILE* out = std::fopen(file.c_str(), "w");
  std::fputs(std::string(3'000'000, 'b').c_str(), out);
  std::fclose(out);
  for (const std::string version : {"--http1.1", "--http2-prior-knowledge"}) {
    EXPECT_EQ(Curl(version + " --data-binary @" + file + " " + url + "/echo").size(), 3'000'000u);
  }
  std::remove(file.c_str());
}

}  // namespace
}  // namespace tidemark::server
