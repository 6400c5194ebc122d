#include "tests/process/slow_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "src/base/check.h"

namespace tidemark::process {
namespace {

constexpr int32_t kWideWindowBytes = 64 << 20;

int Connect(const std::string& endpoint) {
  int port = 0;
  const size_t colon = endpoint.rfind(':');
  CHECK(absl::SimpleAtoi(endpoint.substr(colon + 1), &port));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  CHECK(inet_pton(AF_INET, endpoint.substr(0, colon).c_str(), &address.sin_addr) == 1);
  CHECK_MSG(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0, endpoint);
  CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
  return fd;
}

nghttp2_nv Header(absl::string_view name, absl::string_view value) {
  auto bytes = [](absl::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

struct SlowClient::Callbacks {
  static Call* Find(void* self, int32_t id) {
    auto& calls = static_cast<SlowClient*>(self)->calls_;
    const auto it = calls.find(id);
    return it == calls.end() ? nullptr : it->second.get();
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* self) {
    const absl::string_view text(reinterpret_cast<const char*>(name), name_size);
    const std::string content(reinterpret_cast<const char*>(value), value_size);
    Call* call = Find(self, frame->hd.stream_id);
    if (call == nullptr) return 0;
    if (text == "grpc-status") call->grpc_status = content;
    if (text == "grpc-message") call->grpc_message = content;
    return 0;
  }
  static int OnData(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* bytes,
                    size_t size, void* self) {
    Call* call = Find(self, id);
    CHECK(call != nullptr);
    call->received_bytes += size;
    if (call->keeps) call->kept.append(reinterpret_cast<const char*>(bytes), size);
    call->unread_bytes += size;
    if (call->reads_all) static_cast<SlowClient*>(self)->Consume(*call, size);
    return 0;
  }
  static int OnClose(nghttp2_session* session, int32_t id, uint32_t error_code, void* self) {
    Call* call = Find(self, id);
    CHECK(call != nullptr);
    call->closed = true;
    call->error_code = error_code;
    // Its bytes count in the connection's window.
    nghttp2_session_consume_connection(session, std::exchange(call->unread_bytes, 0));
    return 0;
  }
  static ssize_t ReadRequest(nghttp2_session*, int32_t, uint8_t* buffer, size_t size,
                             uint32_t* flags, nghttp2_data_source* source, void*) {
    Call& call = *static_cast<Call*>(source->ptr);
    const size_t n = std::min(size, call.request.size() - call.request_sent_bytes);
    if (n == 0 && !call.half_closes) return NGHTTP2_ERR_DEFERRED;
    std::memcpy(buffer, call.request.data() + call.request_sent_bytes, n);
    call.request_sent_bytes += n;
    if (call.request_sent_bytes == call.request.size() && call.half_closes) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return static_cast<ssize_t>(n);
  }
};

bool SlowClient::Call::refused_busy() const {
  const bool by_status = grpc_status == "2" && grpc_message == "etcdserver: too many requests";
  return by_status || error_code == NGHTTP2_ENHANCE_YOUR_CALM;
}

SlowClient::SlowClient(const std::string& endpoint, int32_t window_bytes) : fd_(Connect(endpoint)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::OnClose);
  nghttp2_option* option = nullptr;
  CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  CHECK(nghttp2_session_client_new2(&session_, callbacks, this, option) == 0);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                         static_cast<uint32_t>(window_bytes)};
  CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &window, 1) == 0);
  // Calls are slow each for itself, not for another's sake.
  CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kWideWindowBytes) ==
        0);
}

SlowClient::~SlowClient() {
  nghttp2_session_del(session_);
  close(fd_);
}

SlowClient::Call& SlowClient::Start(absl::string_view path, const std::string& message,
                                    bool half_closes, bool keeps) {
  auto call = std::make_unique<Call>();
  const auto size = htonl(static_cast<uint32_t>(message.size()));
  call->request.push_back('\0');
  call->request.append(reinterpret_cast<const char*>(&size), sizeof(size));
  call->request += message;
  call->half_closes = half_closes;
  call->keeps = keeps;
  const nghttp2_nv headers[] = {
      Header(":method", "POST"), Header(":scheme", "http"),
      Header(":path", path),     Header(":authority", "test"),
      Header("te", "trailers"),  Header("content-type", "application/grpc"),
  };
  nghttp2_data_provider provider{};
  provider.source.ptr = call.get();
  provider.read_callback = Callbacks::ReadRequest;
  const int32_t id =
      nghttp2_submit_request(session_, nullptr, headers, std::size(headers), &provider, nullptr);
  CHECK(id > 0);
  call->id = id;
  return *(calls_[id] = std::move(call));
}

void SlowClient::Consume(Call& call, size_t bytes) {
  bytes = std::min(bytes, call.unread_bytes);
  call.unread_bytes -= bytes;
  nghttp2_session_consume(session_, call.id, bytes);
}

void SlowClient::ReadSome(size_t bytes) {
  for (auto& [id, call] : calls_) {
    if (!call->closed) Consume(*call, bytes);
  }
}

void SlowClient::ReadAll(Call& call) {
  call.reads_all = true;
  if (call.closed) return;
  Consume(call, call.unread_bytes);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, call.id, 1 << 20);
}

void SlowClient::ReadAll() {
  for (auto& [id, call] : calls_) ReadAll(*call);
}

bool SlowClient::Pump() {
  for (;;) {
    char buffer[64 << 10];
    const ssize_t n = read(fd_, buffer, sizeof(buffer));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return false;
    if (n < 0) break;
    const ssize_t taken = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(buffer), static_cast<size_t>(n));
    CHECK_MSG(taken == n, nghttp2_strerror(static_cast<int>(taken)));
  }
  for (;;) {
    if (unsent_.empty()) {
      const uint8_t* bytes = nullptr;
      const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
      CHECK(n >= 0);
      if (n == 0) return true;
      unsent_.assign(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
    }
    const ssize_t n = send(fd_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    unsent_.erase(0, static_cast<size_t>(n));
  }
}

}  // namespace tidemark::process
