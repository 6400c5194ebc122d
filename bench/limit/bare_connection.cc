#include "bench/limit/bare_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr int32_t kWindowBytes = 16 << 20;
constexpr size_t kUnsentLimitBytes = 4 << 20;

absl::string_view View(const uint8_t* bytes, size_t size) {
  return absl::string_view(reinterpret_cast<const char*>(bytes), size);
}

nghttp2_nv Header(absl::string_view name, absl::string_view value, bool is_constant = true) {
  const int copied = is_constant ? NGHTTP2_NV_FLAG_NO_COPY_VALUE : NGHTTP2_NV_FLAG_NONE;
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          static_cast<uint8_t>(NGHTTP2_NV_FLAG_NO_COPY_NAME | copied)};
}

}  // namespace

struct BareSessionCallbacks {
  static BareConnection& Self(void* connection) {
    return *static_cast<BareConnection*>(connection);
  }
  static BareCall* CallOf(nghttp2_session* session, int32_t stream_id) {
    return static_cast<BareCall*>(nghttp2_session_get_stream_user_data(session, stream_id));
  }

  static int OnBeginHeaders(nghttp2_session* session, const nghttp2_frame* frame,
                            void* connection) {
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    auto call = std::make_shared<BareCall>();
    call->connection_ = &Self(connection);
    call->stream_id_ = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call.get());
    Self(connection).calls_.emplace(frame->hd.stream_id, std::move(call));
    return 0;
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void*) {
    if (View(name, name_size) != ":path") return 0;
    BareCall* call = CallOf(session, frame->hd.stream_id);
    if (call != nullptr) call->path_.assign(reinterpret_cast<const char*>(value), value_size);
    return 0;
  }

  static int OnData(nghttp2_session*, uint8_t, int32_t stream_id, const uint8_t* bytes, size_t size,
                    void* connection) {
    BareConnection& self = Self(connection);
    const auto found = self.calls_.find(stream_id);
    if (found == self.calls_.end()) return 0;
    const BareCallPtr call = found->second;
    call->reader_.Add(View(bytes, size),
                      [&](absl::string_view message) { self.service_->OnMessage(call, message); });
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* connection) {
    const bool can_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (!can_end || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    BareConnection& self = Self(connection);
    const auto found = self.calls_.find(frame->hd.stream_id);
    if (found == self.calls_.end()) return 0;
    const BareCallPtr call = found->second;
    self.service_->OnInputEnd(call);
    return 0;
  }

  static int OnStreamClose(nghttp2_session*, int32_t stream_id, uint32_t, void* connection) {
    BareConnection& self = Self(connection);
    const auto found = self.calls_.find(stream_id);
    if (found == self.calls_.end()) return 0;
    const BareCallPtr call = std::move(found->second);
    self.calls_.erase(found);
    call->connection_ = nullptr;
    self.service_->OnOver(call);
    return 0;
  }

  static ssize_t ReadBody(nghttp2_session* session, int32_t stream_id, uint8_t*, size_t size,
                          uint32_t* flags, nghttp2_data_source* source, void*) {
    BareCall* call = static_cast<BareCall*>(source->ptr);
    const size_t taken = std::min(size, call->out_bytes_);
    if (taken == 0 && !call->has_ended_) {
      call->is_deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (taken == call->out_bytes_ && call->has_ended_) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const std::array<nghttp2_nv, 2> trailers = {
          Header("grpc-status", call->status_, false),
          Header("grpc-message", call->status_text_, false)};
      nghttp2_submit_trailer(session, stream_id, trailers.data(),
                             call->status_text_.empty() ? 1 : trailers.size());
    }
    return static_cast<ssize_t>(taken);
  }

  static int SendBody(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_head, size_t size,
                      nghttp2_data_source* source, void* connection) {
    constexpr size_t kFrameHeadBytes = 9;
    BareCall* call = static_cast<BareCall*>(source->ptr);
    std::string& out = Self(connection).out_;
    out.append(reinterpret_cast<const char*>(frame_head), kFrameHeadBytes);
    call->out_bytes_ -= size;
    while (size > 0) {
      const std::string& piece = *call->out_.front();
      const size_t taken = std::min(size, piece.size() - call->out_sent_);
      out.append(piece, call->out_sent_, taken);
      call->out_sent_ += taken;
      size -= taken;
      if (call->out_sent_ == piece.size()) {
        call->out_.pop_front();
        call->out_sent_ = 0;
      }
    }
    return 0;
  }

  static nghttp2_session_callbacks* Make() {
    nghttp2_session_callbacks* table = nullptr;
    CHECK(nghttp2_session_callbacks_new(&table) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(table, OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(table, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, OnData);
    nghttp2_session_callbacks_set_on_frame_recv_callback(table, OnFrame);
    nghttp2_session_callbacks_set_on_stream_close_callback(table, OnStreamClose);
    nghttp2_session_callbacks_set_send_data_callback(table, SendBody);
    return table;
  }
};

void BareCall::Send(Bytes framed) {
  if (connection_ == nullptr) return;
  out_bytes_ += framed->size();
  out_.push_back(std::move(framed));
  connection_->Begin(this);
  Resume();
}

void BareCall::End(int grpc_status, std::string text) {
  if (connection_ == nullptr || has_ended_) return;
  has_ended_ = true;
  status_ = absl::StrCat(grpc_status);
  status_text_ = std::move(text);
  connection_->Begin(this);
  Resume();
}

void BareCall::Resume() {
  connection_->is_dirty_ = true;
  if (std::exchange(is_deferred_, false)) {
    nghttp2_session_resume_data(connection_->session_, stream_id_);
  }
}

BareConnection::BareConnection(int fd, BareService* service) : fd_(fd), service_(service) {
  static const nghttp2_session_callbacks* const callbacks = BareSessionCallbacks::Make();
  nghttp2_option* option = nullptr;
  CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_closed_streams(option, 1);
  CHECK(nghttp2_session_server_new2(&session_, callbacks, this, option) == 0);
  nghttp2_option_del(option);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes},
  };
  CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
  CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, 4 * kWindowBytes) ==
        0);
}

BareConnection::~BareConnection() {
  for (auto& [id, call] : calls_) {
    call->connection_ = nullptr;
    service_->OnOver(call);
  }
  nghttp2_session_del(session_);
  close(fd_);
}

void BareConnection::Begin(BareCall* call) {
  if (std::exchange(call->has_begun_, true)) return;
  const std::array<nghttp2_nv, 2> headers = {Header(":status", "200"),
                                             Header("content-type", "application/grpc")};
  nghttp2_data_provider body{};
  body.source.ptr = call;
  body.read_callback = BareSessionCallbacks::ReadBody;
  CHECK(nghttp2_submit_response(session_, call->stream_id_, headers.data(), headers.size(),
                                &body) == 0);
}

bool BareConnection::OnReadable() {
  static thread_local const std::unique_ptr<char[]> buffer(new char[kReadBytes]);
  const ssize_t n = recv(fd_, buffer.get(), kReadBytes, 0);
  if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR);
  is_dirty_ = true;
  return nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(buffer.get()), n) >= 0;
}

bool BareConnection::Flush() {
  is_dirty_ = false;
  for (;;) {
    while (out_.size() - out_begin_ < kUnsentLimitBytes) {
      const uint8_t* bytes = nullptr;
      const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
      if (n < 0) return false;
      if (n == 0) break;
      out_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
    }
    if (!has_unsent()) return true;
    const ssize_t sent =
        send(fd_, out_.data() + out_begin_, out_.size() - out_begin_, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    out_begin_ += static_cast<size_t>(sent);
    if (out_begin_ == out_.size()) {
      out_.clear();
      out_begin_ = 0;
    }
  }
}

}  // namespace tidemark::bench
