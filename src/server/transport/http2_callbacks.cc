#include "src/server/transport/http2_callbacks.h"

#include <algorithm>

#include "absl/strings/string_view.h"
#include "src/server/transport/http2_connection.h"

namespace tidemark::server {
namespace {

// Large frames save headers; smaller ones let other streams in between.
constexpr int32_t kMaxDataFrameBytes = 128 << 10;
// RFC 9113, section 6.5.2.
constexpr size_t kHeaderOverheadBytes = 32;

Http2Connection& Self(void* connection) { return *static_cast<Http2Connection*>(connection); }

absl::string_view View(const uint8_t* bytes, size_t size) {
  return absl::string_view(reinterpret_cast<const char*>(bytes), size);
}

bool IsRequest(const nghttp2_frame* frame) {
  return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

bool EndsStream(const nghttp2_frame* frame) {
  return (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

nghttp2_session_callbacks* MakeCallbacks() {
  nghttp2_session_callbacks* table = nullptr;
  CHECK(nghttp2_session_callbacks_new(&table) == 0);
  nghttp2_session_callbacks_set_on_begin_headers_callback(table, Http2Callbacks::OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback2(table, Http2Callbacks::OnHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(table, Http2Callbacks::OnFrameReceived);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, Http2Callbacks::OnData);
  nghttp2_session_callbacks_set_on_frame_send_callback(table, Http2Callbacks::OnFrameSent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(table, Http2Callbacks::OnFrameNotSent);
  nghttp2_session_callbacks_set_on_stream_close_callback(table, Http2Callbacks::OnStreamClose);
  nghttp2_session_callbacks_set_send_data_callback(table, Http2Callbacks::SendData);
  nghttp2_session_callbacks_set_data_source_read_length_callback(table,
                                                                 Http2Callbacks::DataFrameSize);
  return table;
}

}  // namespace

const nghttp2_session_callbacks* Http2Callbacks::Get() {
  static const nghttp2_session_callbacks* const table = MakeCallbacks();
  return table;
}

nghttp2_data_provider Http2Callbacks::BodyOf(int32_t) {
  nghttp2_data_provider provider{};
  provider.read_callback = ReadData;
  return provider;
}

int Http2Callbacks::OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* connection) {
  Http2Connection& self = Self(connection);
  self.head_ = RequestHead();
  self.rules_.Begin(IsRequest(frame) ? HeaderRules::Block::kRequest
                                     : HeaderRules::Block::kTrailers);
  return 0;
}

int Http2Callbacks::OnHeader(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                             nghttp2_rcbuf* value, uint8_t, void* connection) {
  Http2Connection& self = Self(connection);
  const HeaderField field = self.header_cache_.Read(name, value);
  const absl::string_view name_text = TextOf(name);
  const absl::string_view value_text = TextOf(value);
  const size_t max_bytes = self.context_.options.max_metadata_bytes;
  self.rules_.Add(field);
  if (IsRequest(frame) && self.head_.size_bytes <= max_bytes) {
    self.head_.Add(field, name_text, value_text);
  }
  self.head_.size_bytes += name_text.size() + value_text.size() + kHeaderOverheadBytes;
  // HPACK needs the whole block, but not at any price.
  return self.head_.size_bytes > 4 * max_bytes ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

int Http2Callbacks::OnFrameReceived(nghttp2_session*, const nghttp2_frame* frame,
                                    void* connection) {
  Http2Connection& self = Self(connection);
  self.connection_.MarkDirty();
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      if (!self.rules_.IsGood()) {
        self.Reset(frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
        return 0;
      }
      if (IsRequest(frame)) {
        self.OnRequestHeaders(frame->hd.stream_id, EndsStream(frame));
        return 0;
      }
      [[fallthrough]];
    case NGHTTP2_DATA:
      if (EndsStream(frame)) {
        if (Http2Stream* stream = self.Find(frame->hd.stream_id)) stream->OnInputEnd();
      }
      return 0;
    case NGHTTP2_SETTINGS:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 || self.OnSettings()) return 0;
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        self.OnPingAnswer();
      } else {
        self.OnPing();
      }
      return 0;
    default:
      return 0;
  }
}

int Http2Callbacks::OnData(nghttp2_session*, uint8_t, int32_t stream_id, const uint8_t* bytes,
                           size_t size, void* connection) {
  Http2Connection& self = Self(connection);
  if (Http2Stream* stream = self.Find(stream_id)) {
    stream->OnData(View(bytes, size));
  } else {
    self.Consume(stream_id, size);
  }
  return 0;
}

int Http2Callbacks::OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* connection) {
  Http2Connection& self = Self(connection);
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  self.ping_policy_.OnSent();
  if (EndsStream(frame)) self.EndUnfinishedRequest(frame->hd.stream_id);
  return 0;
}

// Headers that do not fit: without them the call would never end.
int Http2Callbacks::OnFrameNotSent(nghttp2_session*, const nghttp2_frame* frame, int error,
                                   void* connection) {
  if (frame->hd.type != NGHTTP2_HEADERS || error != NGHTTP2_ERR_FRAME_SIZE_ERROR) return 0;
  Self(connection).Reset(frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
  return 0;
}

int Http2Callbacks::OnStreamClose(nghttp2_session*, int32_t stream_id, uint32_t error_code,
                                  void* connection) {
  Self(connection).OnStreamClosed(stream_id, error_code);
  return 0;
}

ssize_t Http2Callbacks::ReadData(nghttp2_session*, int32_t stream_id, uint8_t*, size_t size,
                                 uint32_t* data_flags, nghttp2_data_source*, void* connection) {
  return Self(connection).ReadData(stream_id, size, data_flags);
}

int Http2Callbacks::SendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* frame_head,
                             size_t size, nghttp2_data_source*, void* connection) {
  // Left alone, nghttp2 goes on as far as the client's windows reach.
  if (!Self(connection).HasOutputRoom()) return NGHTTP2_ERR_WOULDBLOCK;
  Self(connection).SendData(frame->hd.stream_id, frame_head, size);
  return 0;
}

ssize_t Http2Callbacks::DataFrameSize(nghttp2_session*, uint8_t, int32_t, int32_t connection_window,
                                      int32_t stream_window, uint32_t max_frame_size, void*) {
  const auto frame = static_cast<int32_t>(std::min<uint32_t>(max_frame_size, kMaxDataFrameBytes));
  return std::min({connection_window, stream_window, frame});
}

}  // namespace tidemark::server
