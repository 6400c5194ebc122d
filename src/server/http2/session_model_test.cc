// Random talks with another implementation: nghttp2's client, whose windows, frames and pieces are
// of random sizes, and who gives up on streams now and then.

#include <nghttp2/nghttp2.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "src/base/check.h"
#include "src/server/http2/session_harness_for_test.h"

namespace tidemark::server::http2 {
namespace {

class OtherClient {
 public:
  struct Call {
    std::string sent;
    size_t sent_bytes = 0;
    std::string got;
    bool has_trailers = false;
    bool gave_up = false;
    bool closed = false;
    uint32_t error = 0;
  };

  explicit OtherClient(std::mt19937& random) : random_(random) {
    nghttp2_session_callbacks* callbacks = nullptr;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
    nghttp2_session_callbacks_set_select_padding_callback(callbacks, Padding);
    nghttp2_option* option = nullptr;
    CHECK(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    CHECK(nghttp2_session_client_new2(&session_, callbacks, this, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    SendSettings();
  }
  ~OtherClient() { nghttp2_session_del(session_); }

  void SendSettings() {
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(1 + random_() % 100000)},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, static_cast<uint32_t>(16384 + random_() % 50000)},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, static_cast<uint32_t>(random_() % 300)}};
    CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
  }

  void Ask(std::string body) {
    auto call = std::make_unique<Call>();
    call->sent = std::move(body);
    nghttp2_data_provider provider{};
    provider.source.ptr = call.get();
    provider.read_callback = ReadBody;
    const nghttp2_nv headers[] = {Header(":method", "POST"), Header(":scheme", "http"),
                                  Header(":path", "/"), Header("same", "again and again"),
                                  Header("other", absl::string_view(call->sent).substr(0, 20))};
    const int32_t id = nghttp2_submit_request(session_, nullptr, headers, std::size(headers),
                                              &provider, call.get());
    CHECK(id > 0);
    calls_.emplace(id, std::move(call));
  }
  void GiveUpOn(int32_t id) {
    calls_.at(id)->gave_up = true;
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }
  // What it read long ago.
  void ConsumeAll() {
    for (const auto& [id, bytes] : std::exchange(unconsumed_, {})) {
      nghttp2_session_consume(session_, id, bytes);
    }
  }
  std::string Output() {
    std::string out;
    const uint8_t* bytes = nullptr;
    ssize_t n = 0;
    while ((n = nghttp2_session_mem_send(session_, &bytes)) > 0) {
      out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
    }
    CHECK(n == 0);
    return out;
  }
  void Receive(absl::string_view bytes) {
    const ssize_t taken = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    CHECK(taken == static_cast<ssize_t>(bytes.size()));
  }
  const std::map<int32_t, std::unique_ptr<Call>>& calls() const { return calls_; }
  int goaways() const { return goaways_; }

 private:
  static nghttp2_nv Header(absl::string_view name, absl::string_view value) {
    return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
            reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
            NGHTTP2_NV_FLAG_NONE};
  }
  static OtherClient& Self(void* client) { return *static_cast<OtherClient*>(client); }
  static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t* out, size_t size, uint32_t* flags,
                          nghttp2_data_source* source, void* client) {
    Call& call = *static_cast<Call*>(source->ptr);
    const size_t n = std::min<size_t>(
        {call.sent.size() - call.sent_bytes, size, 1 + Self(client).random_() % 9000});
    call.sent.copy(reinterpret_cast<char*>(out), n, call.sent_bytes);
    call.sent_bytes += n;
    if (call.sent_bytes == call.sent.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }
  static int OnData(nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size,
                    void* client) {
    Self(client).calls_.at(id)->got.append(reinterpret_cast<const char*>(bytes), size);
    Self(client).unconsumed_.emplace_back(id, size);
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* client) {
    if (frame->hd.type == NGHTTP2_GOAWAY) ++Self(client).goaways_;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_HEADERS) {
      Self(client).calls_.at(frame->hd.stream_id)->has_trailers = true;
    }
    return 0;
  }
  static int OnClose(nghttp2_session*, int32_t id, uint32_t error, void* client) {
    Call& call = *Self(client).calls_.at(id);
    call.closed = true;
    call.error = error;
    return 0;
  }
  static ssize_t Padding(nghttp2_session*, const nghttp2_frame* frame, size_t max, void* client) {
    const size_t padding = Self(client).random_() % 4 == 0 ? Self(client).random_() % 256 : 0;
    return static_cast<ssize_t>(std::min(max, frame->hd.length + padding));
  }

  std::mt19937& random_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, std::unique_ptr<Call>> calls_;
  std::vector<std::pair<int32_t, size_t>> unconsumed_;
  int goaways_ = 0;
};

class Talk {
 public:
  explicit Talk(uint32_t seed)
      : random_(seed),
        client_(random_),
        server_({.max_concurrent_streams = 1000,
                 .stream_window_bytes = 65535,
                 .connection_window_bytes = static_cast<int32_t>(65536 + random_() % 100000)}) {}

  void Run() {
    for (int step = 0; step < 400; ++step) Step();
    for (int i = 0; i < 100000 && !IsQuiet(); ++i) Exchange();
  }
  void Check() {
    EXPECT_FALSE(server_.session_.has_failed()) << server_.session_.failure();
    EXPECT_EQ(client_.goaways(), 0);
    EXPECT_EQ(server_.session_.stream_count(), 0u);
    for (const auto& [id, call] : client_.calls()) {
      EXPECT_TRUE(call->closed) << id;
      if (call->gave_up) continue;
      EXPECT_EQ(call->error, 0u) << id;
      EXPECT_EQ(call->got, call->sent) << id;
      EXPECT_TRUE(call->has_trailers) << id;
    }
  }

 private:
  uint32_t Below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }

  void Step() {
    if (Below(4) == 0) client_.Ask(Text());
    if (Below(30) == 0) client_.SendSettings();
    if (Below(10) == 0 && !client_.calls().empty()) {
      auto call = client_.calls().begin();
      std::advance(call, Below(static_cast<uint32_t>(client_.calls().size())));
      if (!call->second->closed) client_.GiveUpOn(call->first);
    }
    Exchange();
  }
  std::string Text() {
    std::string text(Below(8) == 0 ? Below(200000) : Below(3000), '\0');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }
  // Some of what either side has to say.
  void Exchange() {
    if (Below(2) == 0) client_.ConsumeAll();
    to_server_ += client_.Output();
    if (Below(3) != 0) to_client_ += server_.Output(1 + Below(40000));
    Deliver(to_server_, [&](absl::string_view piece) { server_.Receive(piece); });
    Deliver(to_client_, [&](absl::string_view piece) { client_.Receive(piece); });
  }
  template <typename Take>
  void Deliver(std::string& bytes, Take take) {
    const size_t n = std::min<size_t>(bytes.size(), Below(30000));
    take(std::string(bytes.substr(0, n)));
    bytes.erase(0, n);
  }
  bool IsQuiet() {
    for (const auto& [id, call] : client_.calls()) {
      if (!call->closed) return false;
    }
    return to_client_.empty() && to_server_.empty() && server_.session_.stream_count() == 0;
  }

  std::mt19937 random_;
  OtherClient client_;
  SessionHarness server_;
  std::string to_server_;
  std::string to_client_;
};

TEST(SessionModelTest, RandomTalksEndWithEveryAnswer) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Talk talk(seed);
    talk.Run();
    talk.Check();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace tidemark::server::http2
