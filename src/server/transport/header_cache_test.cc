#include "src/server/transport/header_cache.h"

#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace tidemark::server {
namespace {

struct Header {
  std::string name;
  std::string value;
  bool indexed = true;  // may go into HPACK's table
};

// A client's session and a server's, whose headers go through the cache.
class HeaderCacheTest : public ::testing::Test {
 protected:
  HeaderCacheTest() {
    for (Method& method : methods_) table_.emplace(method.path, &method);
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, OnHeader);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_stream_reset_rate_limit(option, 1'000'000, 1'000'000);
    nghttp2_session_server_new2(&server_, callbacks, this, option);
    nghttp2_session_client_new2(&client_, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(client_, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~HeaderCacheTest() override {
    nghttp2_session_del(client_);
    nghttp2_session_del(server_);
  }

  void Send(const std::vector<Header>& block) {
    std::vector<nghttp2_nv> pairs;
    for (const Header& header : block) {
      pairs.push_back(
          {Bytes(header.name), Bytes(header.value), header.name.size(), header.value.size(),
           static_cast<uint8_t>(header.indexed ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX)});
    }
    const int32_t id =
        nghttp2_submit_request(client_, nullptr, pairs.data(), pairs.size(), nullptr, nullptr);
    CarryToServer();
    nghttp2_submit_rst_stream(client_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    CarryToServer();
  }

  // Without the client's session.
  void SendBlock(char stream_id, absl::string_view block) {
    if (seen_ == 0) CarryToServer();  // its preface
    constexpr char kHeaders = 1;
    constexpr char kEndOfBlockAndStream = 5;
    const std::string frame = std::string({0, 0, static_cast<char>(block.size()), kHeaders,
                                           kEndOfBlockAndStream, 0, 0, 0, stream_id}) +
                              std::string(block);
    const ssize_t taken = nghttp2_session_mem_recv(
        server_, reinterpret_cast<const uint8_t*>(frame.data()), frame.size());
    ASSERT_EQ(taken, static_cast<ssize_t>(frame.size()));
  }
  void ForgetMethods() { table_.clear(); }

  int seen_ = 0;
  HeaderField last_;
  bool compares_ = true;  // with what reading says

 private:
  void CarryToServer() {
    const uint8_t* bytes = nullptr;
    while (true) {
      const ssize_t n = nghttp2_session_mem_send(client_, &bytes);
      if (n <= 0) break;
      ASSERT_EQ(nghttp2_session_mem_recv(server_, bytes, n), n);
    }
  }
  static uint8_t* Bytes(const std::string& text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf* name,
                      nghttp2_rcbuf* value, uint8_t, void* test) {
    auto& self = *static_cast<HeaderCacheTest*>(test);
    const HeaderField cached = self.last_ = self.cache_.Read(name, value);
    ++self.seen_;
    if (!self.compares_) return 0;
    const HeaderField read = HeaderField::Read(TextOf(name), TextOf(value), self.table_);
    EXPECT_EQ(std::tie(cached.kind, cached.is_grpc, cached.method),
              std::tie(read.kind, read.is_grpc, read.method))
        << TextOf(name) << ": " << TextOf(value);
    return 0;
  }

  std::vector<Method> methods_ = {{"/a.B/One"}, {"/a.B/Two"}};
  MethodTable table_;
  HeaderCache cache_{table_};
  nghttp2_session* server_ = nullptr;
  nghttp2_session* client_ = nullptr;
};

TEST_F(HeaderCacheTest, SaysWhatReadingTheHeaderAgainWouldSay) {
  std::mt19937 random(1);
  // Some repeat and stay in the table; others push them out of it, or were never in it.
  const std::vector<std::string> names = {":path", "content-type", "te", "a-bin", "hasleader"};
  const std::vector<std::string> values = {
      "/a.B/One", "/a.B/Two", "/a.B/Six", "application/grpc", "application/json",
      "trailers", "true",     "gzip",     "line\nfeed"};
  int sent = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<Header> block;
    for (uint32_t n = random() % 8; n > 0; --n) {
      Header header{names[random() % names.size()], values[random() % values.size()],
                    random() % 4 != 0};
      const size_t length = random() % 8 == 0 ? random() % (2 * HeaderCache::kMaxHeldBytes) : 0;
      header.value += std::string(length, 'x');
      block.push_back(std::move(header));
    }
    sent += static_cast<int>(block.size());
    Send(block);
  }
  EXPECT_EQ(seen_, sent);
}

// Proved by what reading it again would not find any more. HPACK by hand: nghttp2 never puts a
// :path into the table, as gRPC's clients do.
TEST_F(HeaderCacheTest, DoesNotReadAgainWhatComesAgain) {
  constexpr char kAddPath[] = "\x44\x08/a.B/One";
  constexpr char kNewestInTable[] = "\xbe";
  constexpr char kPathBesideTable[] = "\x04\x08/a.B/One";
  compares_ = false;
  SendBlock(1, kAddPath);
  const Method* const one = last_.method;
  ASSERT_NE(one, nullptr);
  ForgetMethods();
  SendBlock(3, kNewestInTable);
  EXPECT_EQ(last_.method, one);
  SendBlock(5, kPathBesideTable);
  EXPECT_EQ(last_.method, nullptr) << "a buffer of its own";
  EXPECT_EQ(seen_, 3);
}

}  // namespace
}  // namespace tidemark::server
