#include "bench/tidebench/wire/connection.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

constexpr size_t kReadBytes = 256 << 10;

absl::string_view View(const uint8_t* bytes, size_t size) {
  return absl::string_view(reinterpret_cast<const char*>(bytes), size);
}

nghttp2_nv Header(absl::string_view name, absl::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

char* ReadBuffer() {
  static thread_local std::unique_ptr<char[]> buffer(new char[kReadBytes]);
  return buffer.get();
}

}  // namespace

// nghttp2 calls these from inside mem_recv and mem_send.
struct SessionCallbacks {
  static Call* CallOf(nghttp2_session* session, int32_t stream_id) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream_id));
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void*) {
    if (Call* call = CallOf(session, frame->hd.stream_id)) {
      call->OnHeader(View(name, name_size), View(value, value_size));
    }
    return 0;
  }

  static int OnData(nghttp2_session* session, uint8_t, int32_t stream_id, const uint8_t* bytes,
                    size_t size, void*) {
    if (Call* call = CallOf(session, stream_id)) call->OnData(View(bytes, size));
    return 0;
  }

  static int OnStreamClose(nghttp2_session* session, int32_t stream_id, uint32_t error,
                           void* connection) {
    if (Call* call = CallOf(session, stream_id)) {
      static_cast<Connection*>(connection)->OnStreamClosed(call, error);
    }
    return 0;
  }

  static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t*, size_t size, uint32_t* flags,
                          nghttp2_data_source* source, void*) {
    Call* call = static_cast<Call*>(source->ptr);
    const size_t taken = std::min(size, call->unsent_bytes());
    if (taken == 0 && !call->input_ends_) {
      call->is_deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (taken == call->unsent_bytes() && call->input_ends_) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(taken);
  }

  static int SendBody(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_head, size_t size,
                      nghttp2_data_source* source, void* connection) {
    constexpr size_t kFrameHeadBytes = 9;
    Call* call = static_cast<Call*>(source->ptr);
    std::string& out = static_cast<Connection*>(connection)->out_;
    out.append(reinterpret_cast<const char*>(frame_head), kFrameHeadBytes);
    out.append(call->unsent_, call->sent_bytes_, size);
    call->sent_bytes_ += size;
    if (call->unsent_bytes() == 0) {
      call->unsent_.clear();
      call->sent_bytes_ = 0;
    }
    return 0;
  }

  static nghttp2_session_callbacks* Make() {
    nghttp2_session_callbacks* table = nullptr;
    CHECK(nghttp2_session_callbacks_new(&table) == 0);
    nghttp2_session_callbacks_set_on_header_callback(table, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(table, OnStreamClose);
    nghttp2_session_callbacks_set_send_data_callback(table, SendBody);
    return table;
  }
};

Connection::Connection(Socket socket, const Endpoint& endpoint, ConnectionOptions options)
    : socket_(std::move(socket)),
      options_(std::move(options)),
      scheme_(endpoint.tls ? "https" : "http"),
      authority_(endpoint.authority()) {
  static const nghttp2_session_callbacks* const callbacks = SessionCallbacks::Make();
  CHECK(nghttp2_session_client_new(&session_, callbacks, this) == 0);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(options_.stream_window_bytes)},
  };
  CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
  CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                              options_.connection_window_bytes) == 0);
}

Connection::~Connection() { nghttp2_session_del(session_); }

void Connection::Start(Call* call, absl::string_view path, bool is_unary) {
  CHECK(!call->is_open());
  CHECK_MSG(failure_.ok(), "a call on a connection that is over");
  call->Reset();
  const std::array<nghttp2_nv, 9> headers = {Header(":method", "POST"),
                                             Header(":scheme", scheme_),
                                             Header(":path", path),
                                             Header(":authority", authority_),
                                             Header("content-type", "application/grpc"),
                                             Header("user-agent", "grpc-tidebench/1"),
                                             Header("te", "trailers"),
                                             Header("client-api-version", "3.7.0"),
                                             Header("grpc-timeout", options_.grpc_timeout)};
  const bool has_timeout = is_unary && !options_.grpc_timeout.empty();
  nghttp2_data_provider body{};
  body.source.ptr = call;
  body.read_callback = SessionCallbacks::ReadBody;
  call->stream_id_ =
      nghttp2_submit_request(session_, nullptr, headers.data(),
                             has_timeout ? headers.size() : headers.size() - 1, &body, call);
  CHECK_MSG(call->stream_id_ > 0, nghttp2_strerror(call->stream_id_));
  open_.insert(call);
  is_dirty_ = true;
}

void Connection::Send(Call* call, const google::protobuf::MessageLite& message) {
  CHECK(call->is_open() && !call->input_ends_);
  AppendFramed(message, &call->unsent_);
  is_dirty_ = true;
  if (std::exchange(call->is_deferred_, false)) {
    nghttp2_session_resume_data(session_, call->stream_id_);
  }
}

void Connection::EndInput(Call* call) {
  CHECK(call->is_open());
  call->input_ends_ = true;
  is_dirty_ = true;
  if (std::exchange(call->is_deferred_, false)) {
    nghttp2_session_resume_data(session_, call->stream_id_);
  }
}

void Connection::Cancel(Call* call) {
  if (!call->is_open()) return;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call->stream_id_, NGHTTP2_CANCEL);
  is_dirty_ = true;
}

void Connection::OnReadable() {
  while (failure_.ok()) {
    const absl::StatusOr<size_t> size = socket_.Read(ReadBuffer(), kReadBytes);
    if (!size.ok()) return Fail(size.status());
    if (*size == 0) return;
    read_bytes_ += static_cast<int64_t>(*size);
    const ssize_t n =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(ReadBuffer()), *size);
    if (n < 0) return Fail(absl::InternalError(nghttp2_strerror(static_cast<int>(n))));
    if (nghttp2_session_want_write(session_) != 0) is_dirty_ = true;
    if (*size < kReadBytes && scheme_ == "http") return;  // what TLS holds, epoll does not see
  }
}

bool Connection::Flush() {
  is_dirty_ = false;
  if (!failure_.ok()) return false;
  for (;;) {
    const uint8_t* bytes = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
    if (n < 0) {
      Fail(absl::InternalError(nghttp2_strerror(static_cast<int>(n))));
      return false;
    }
    if (n == 0) break;
    out_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
  }
  while (out_begin_ < out_.size()) {
    const auto size = socket_.Write(absl::string_view(out_).substr(out_begin_));
    if (!size.ok()) {
      Fail(size.status());
      return false;
    }
    if (*size == 0) return true;
    ++writes_;
    written_bytes_ += static_cast<int64_t>(*size);
    out_begin_ += *size;
  }
  out_.clear();
  out_begin_ = 0;
  return false;
}

void Connection::OnStreamClosed(Call* call, uint32_t http2_error) {
  call->stream_id_ = 0;
  open_.erase(call);
  call->OnEnd(call->EndStatus(http2_error));
}

void Connection::Fail(const absl::Status& status) {
  if (!failure_.ok()) return;
  failure_ = status;
  const std::vector<Call*> calls(open_.begin(), open_.end());
  open_.clear();
  for (Call* call : calls) {
    call->stream_id_ = 0;
    call->OnEnd(status);
  }
}

}  // namespace tidemark::bench
