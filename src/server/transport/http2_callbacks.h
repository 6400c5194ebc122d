// nghttp2's C callbacks, turned into calls of one Http2Connection.
//
// Bound to the connection's loop.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>

namespace tidemark::server {

struct Http2Callbacks {
  // The one table that all sessions share.
  static const nghttp2_session_callbacks* Get();
  // A body that is asked of the stream itself, piece by piece.
  static nghttp2_data_provider BodyOf(int32_t stream_id);

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame*, void* connection);
  static int OnHeader(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf* name,
                      nghttp2_rcbuf* value, uint8_t flags, void* connection);
  static int OnFrameReceived(nghttp2_session*, const nghttp2_frame*, void* connection);
  static int OnData(nghttp2_session*, uint8_t flags, int32_t stream_id, const uint8_t* bytes,
                    size_t size, void* connection);
  static int OnFrameSent(nghttp2_session*, const nghttp2_frame*, void* connection);
  static int OnFrameNotSent(nghttp2_session*, const nghttp2_frame*, int error, void* connection);
  static int OnStreamClose(nghttp2_session*, int32_t stream_id, uint32_t error_code,
                           void* connection);
  static ssize_t ReadData(nghttp2_session*, int32_t stream_id, uint8_t* buffer, size_t size,
                          uint32_t* data_flags, nghttp2_data_source*, void* connection);
  static int SendData(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_head, size_t size,
                      nghttp2_data_source*, void* connection);
  static ssize_t DataFrameSize(nghttp2_session*, uint8_t frame_type, int32_t stream_id,
                               int32_t connection_window, int32_t stream_window,
                               uint32_t max_frame_size, void* connection);
};

}  // namespace tidemark::server
