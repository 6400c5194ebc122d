#include "src/server/transport/header_rules.h"

#include <nghttp2/nghttp2.h>

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace tidemark::server {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

const Headers kRequest = {
    {":method", "POST"}, {":scheme", "http"}, {":path", "/a.B/C"}, {":authority", "host:2379"}};

bool IsGood(const Headers& headers, HeaderRules::Block block = HeaderRules::Block::kRequest) {
  HeaderRules rules;
  rules.Begin(block);
  for (const auto& [name, value] : headers) rules.Add(HeaderField::Read(name, value, {}));
  return rules.IsGood();
}

Headers With(Headers headers, std::string name, std::string value) {
  headers.emplace_back(std::move(name), std::move(value));
  return headers;
}

Headers Without(absl::string_view name) {
  Headers left;
  for (const auto& header : kRequest) {
    if (header.first != name) left.push_back(header);
  }
  return left;
}

TEST(HeaderRulesTest, RequestsOfKnownClients) {
  EXPECT_TRUE(IsGood(kRequest));
  EXPECT_TRUE(IsGood(With(With(kRequest, "te", "trailers"), "grpc-timeout", "1S")));
  EXPECT_TRUE(IsGood(With(kRequest, "some-bin", "AAE")));
  EXPECT_TRUE(IsGood(With(kRequest, "empty", "")));
  EXPECT_TRUE(IsGood(Without(":authority")));
  // etcdctl 3.4 with --endpoints http://host:2379.
  EXPECT_TRUE(IsGood(With(Without(":authority"), ":authority", "http://host:2379")));
  EXPECT_TRUE(IsGood(With(Without(":authority"), ":authority", "")));
}

// RFC 9113, 8.2 and 8.3.
TEST(HeaderRulesTest, WhatHttp2Forbids) {
  EXPECT_FALSE(IsGood({}));
  EXPECT_FALSE(IsGood(Without(":method")));
  EXPECT_FALSE(IsGood(Without(":path")));
  EXPECT_FALSE(IsGood(Without(":scheme")));
  EXPECT_FALSE(IsGood(With(Without(":path"), ":path", "")));
  for (const auto& [name, value] : kRequest) EXPECT_FALSE(IsGood(With(kRequest, name, value)));
  EXPECT_FALSE(IsGood(With(With(Without(":authority"), "a", "b"), ":authority", "host")));
  EXPECT_FALSE(IsGood(With(kRequest, ":status", "200")));
  EXPECT_FALSE(IsGood(With(kRequest, ":protocol", "websocket")));
  EXPECT_FALSE(IsGood(With(kRequest, "", "b")));
  EXPECT_FALSE(IsGood(With(kRequest, ":", "b")));
  EXPECT_FALSE(IsGood(With(kRequest, "Upper", "b")));
  EXPECT_FALSE(IsGood(With(kRequest, "with space", "b")));
  EXPECT_FALSE(IsGood(With(kRequest, "a", "line\r\nbreak")));
  EXPECT_FALSE(IsGood(With(kRequest, "a", std::string("nul\0", 4))));
  EXPECT_FALSE(IsGood(With(kRequest, "te", "gzip")));
  for (const char* name :
       {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}) {
    EXPECT_FALSE(IsGood(With(kRequest, name, "x"))) << name;
  }
}

// RFC 9110, section 8.6.
TEST(HeaderRulesTest, ALengthIsOneNumber) {
  EXPECT_TRUE(IsGood(With(kRequest, "content-length", "0")));
  EXPECT_TRUE(IsGood(With(kRequest, "content-length", "18446744073709551615")));
  for (const char* value : {"", "-1", "+1", " 1", "1 ", "1,1", "0x1", "18446744073709551616"}) {
    EXPECT_FALSE(IsGood(With(kRequest, "content-length", value))) << value;
  }
  EXPECT_FALSE(IsGood(With(With(kRequest, "content-length", "1"), "content-length", "1")));
}

TEST(HeaderRulesTest, CharactersAreThoseOfAnotherImplementation) {
  for (int code = 0; code < 256; ++code) {
    const std::string text{'a', static_cast<char>(code), 'b'};
    const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
    EXPECT_EQ(IsGood(With(kRequest, text, "x")), nghttp2_check_header_name(bytes, text.size()) != 0)
        << code;
    EXPECT_EQ(IsGood(With(kRequest, "x", text)),
              nghttp2_check_header_value(bytes, text.size()) != 0)
        << code;
  }
}

TEST(HeaderRulesTest, TrailersHaveNoPseudoHeaders) {
  EXPECT_TRUE(IsGood({}, HeaderRules::Block::kTrailers));
  EXPECT_TRUE(IsGood({{"a", "b"}}, HeaderRules::Block::kTrailers));
  EXPECT_FALSE(IsGood({{":path", "/"}}, HeaderRules::Block::kTrailers));
}

}  // namespace
}  // namespace tidemark::server
