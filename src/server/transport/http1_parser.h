// Reads HTTP/1.x requests from a stream of bytes: strict and bounded.
//
// Refuses whatever two readers could understand differently (both lengths, folded lines, spaces
// before colons, bare line feeds). Pure state; input is hostile.
//
// 1. After Result::kRequest or an error nothing is read until Reset.
// 2. Holds at most max_head_bytes plus max_body_bytes.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "src/server/rpc.h"

namespace tidemark::server {

struct Http1Limits {
  size_t max_head_bytes = 64 << 10;
  size_t max_header_count = 100;
  size_t max_body_bytes = 4 << 20;
};

class Http1Parser {
 public:
  explicit Http1Parser(Http1Limits limits) : limits_(limits) {}

  enum class Result { kMore, kRequest, kError };

  // Takes bytes from the front of `bytes` up to the end of one request.
  Result Parse(absl::string_view& bytes);

  // After kRequest.
  HttpRequest TakeRequest() { return std::move(request_); }
  bool keep_alive() const { return keep_alive_; }
  // After kError: the status to answer with.
  int error_status() const { return error_status_; }
  // The head asked for "100 Continue" and the body has not begun. True once per request.
  bool TakeExpectContinue();
  // Something of a request was read.
  bool in_request() const { return phase_ != Phase::kHead || !line_.empty() || head_bytes_ > 0; }

  // Of a request that is not whole yet.
  size_t held_bytes() const { return head_bytes_ + line_.size() + request_.body.size(); }

  void Reset();

 private:
  enum class Phase { kHead, kBody, kChunkSize, kChunkData, kChunkEnd, kTrailers, kDone, kFailed };

  void Fail(int status);
  // Moves a line without its CRLF into line_; false when it is not complete. Sets failure itself.
  bool TakeLine(absl::string_view& bytes);
  void ParseLine();
  void ParseRequestLine();
  void ParseHeader();
  void EndHead();
  void ParseChunkSize();
  void TakeBody(absl::string_view& bytes);

  Http1Limits limits_;
  Phase phase_ = Phase::kHead;
  HttpRequest request_;
  std::string line_;
  bool got_request_line_ = false;
  size_t head_bytes_ = 0;
  size_t header_count_ = 0;
  size_t host_count_ = 0;
  size_t body_left_bytes_ = 0;
  bool has_length_ = false;
  bool chunked_ = false;
  bool http10_ = false;
  bool keep_alive_ = true;
  bool expect_continue_ = false;
  int error_status_ = 0;
};

}  // namespace tidemark::server
