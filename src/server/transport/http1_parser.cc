#include "src/server/transport/http1_parser.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "src/server/transport/http_text.h"

namespace tidemark::server {
namespace {

bool IsTokenChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("!#$%&'*+-.^_`|~").find(c) != absl::string_view::npos;
}

bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

bool IsVisible(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c != 0x7f; });
}

bool IsFieldValue(absl::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
}

bool ParseNumber(absl::string_view text, int base, size_t& value) {
  if (text.empty() || text.size() > 15) return false;
  value = 0;
  for (const char c : text) {
    const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
    int digit = base;
    if (lower >= '0' && lower <= '9') digit = lower - '0';
    if (lower >= 'a' && lower <= 'f') digit = lower - 'a' + 10;
    if (digit >= base) return false;
    value = value * static_cast<size_t>(base) + static_cast<size_t>(digit);
  }
  return true;
}

}  // namespace

void Http1Parser::Reset() { *this = Http1Parser(limits_); }

bool Http1Parser::TakeExpectContinue() {
  return phase_ != Phase::kHead && std::exchange(expect_continue_, false);
}

void Http1Parser::Fail(int status) {
  phase_ = Phase::kFailed;
  error_status_ = status;
  keep_alive_ = false;
}

Http1Parser::Result Http1Parser::Parse(absl::string_view& bytes) {
  while (true) {
    if (phase_ == Phase::kDone) return Result::kRequest;
    if (phase_ == Phase::kFailed) return Result::kError;
    if (bytes.empty()) return Result::kMore;
    if (phase_ == Phase::kBody || phase_ == Phase::kChunkData) {
      TakeBody(bytes);
      continue;
    }
    if (!TakeLine(bytes)) continue;
    ParseLine();
    line_.clear();
  }
}

bool Http1Parser::TakeLine(absl::string_view& bytes) {
  const size_t end = bytes.find('\n');
  const size_t n = end == absl::string_view::npos ? bytes.size() : end + 1;
  head_bytes_ += n;
  if (head_bytes_ > limits_.max_head_bytes) {
    Fail(phase_ == Phase::kHead || phase_ == Phase::kTrailers ? 431 : 413);
    return false;
  }
  line_.append(bytes.data(), n);
  bytes.remove_prefix(n);
  if (end == absl::string_view::npos) return false;
  if (line_.size() < 2 || line_[line_.size() - 2] != '\r') {
    Fail(400);
    return false;
  }
  line_.resize(line_.size() - 2);
  return true;
}

void Http1Parser::ParseLine() {
  switch (phase_) {
    case Phase::kHead:
      if (!got_request_line_) {
        if (!line_.empty()) ParseRequestLine();
        return;
      }
      return line_.empty() ? EndHead() : ParseHeader();
    case Phase::kChunkSize:
      return ParseChunkSize();
    case Phase::kChunkEnd:
      if (!line_.empty()) return Fail(400);
      phase_ = Phase::kChunkSize;
      head_bytes_ = 0;
      return;
    case Phase::kTrailers:
      if (line_.empty()) phase_ = Phase::kDone;
      return;
    case Phase::kBody:
    case Phase::kChunkData:
    case Phase::kDone:
    case Phase::kFailed:
      break;
  }
}

void Http1Parser::ParseRequestLine() {
  got_request_line_ = true;
  const std::vector<absl::string_view> parts = absl::StrSplit(line_, ' ');
  if (parts.size() != 3 || !IsToken(parts[0]) || parts[1].empty() || !IsVisible(parts[1])) {
    return Fail(400);
  }
  const absl::string_view version = parts[2];
  if (version.size() != 8 || !absl::StartsWith(version, "HTTP/") || version[6] != '.' ||
      !absl::ascii_isdigit(version[5]) || !absl::ascii_isdigit(version[7])) {
    return Fail(400);
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return Fail(505);
  http10_ = version == "HTTP/1.0";
  keep_alive_ = !http10_;
  request_.method = std::string(parts[0]);
  absl::string_view target = parts[1];
  // The absolute form is for proxies, but every server must understand it.
  if (absl::StartsWithIgnoreCase(target, "http://") ||
      absl::StartsWithIgnoreCase(target, "https://")) {
    const size_t slash = target.find('/', target.find("://") + 3);
    target = slash == absl::string_view::npos ? absl::string_view("/") : target.substr(slash);
  }
  if (target[0] != '/' && !(target == "*" && request_.method == "OPTIONS")) return Fail(400);
  SplitTarget(target, request_.path, request_.query);
}

void Http1Parser::ParseHeader() {
  if (++header_count_ > limits_.max_header_count) return Fail(431);
  const size_t colon = line_.find(':');
  if (colon == std::string::npos) return Fail(400);
  const absl::string_view raw_name = absl::string_view(line_).substr(0, colon);
  const absl::string_view value =
      absl::StripAsciiWhitespace(absl::string_view(line_).substr(colon + 1));
  if (!IsToken(raw_name) || !IsFieldValue(value)) return Fail(400);
  std::string name = absl::AsciiStrToLower(raw_name);
  if (name == "host" && ++host_count_ > 1) return Fail(400);
  if (name == "content-length") {
    if (has_length_ || !ParseNumber(value, 10, body_left_bytes_)) return Fail(400);
    has_length_ = true;
  } else if (name == "transfer-encoding") {
    if (chunked_) return Fail(400);
    if (!absl::EqualsIgnoreCase(value, "chunked")) return Fail(501);
    chunked_ = true;
  } else if (name == "expect") {
    if (!absl::EqualsIgnoreCase(value, "100-continue")) return Fail(417);
    expect_continue_ = !http10_;
  } else if (name == "connection") {
    for (absl::string_view option : absl::StrSplit(value, ',')) {
      option = absl::StripAsciiWhitespace(option);
      if (absl::EqualsIgnoreCase(option, "close")) keep_alive_ = false;
      if (http10_ && absl::EqualsIgnoreCase(option, "keep-alive")) keep_alive_ = true;
    }
  }
  request_.headers.Add(name, value);
}

void Http1Parser::EndHead() {
  if (host_count_ == 0 && !http10_) return Fail(400);
  // Both, or chunks in 1.0: two readers would not agree where the request ends.
  if (chunked_ && (has_length_ || http10_)) return Fail(400);
  if (body_left_bytes_ > limits_.max_body_bytes) return Fail(413);
  head_bytes_ = 0;
  if (chunked_) {
    phase_ = Phase::kChunkSize;
  } else {
    phase_ = body_left_bytes_ > 0 ? Phase::kBody : Phase::kDone;
  }
}

void Http1Parser::ParseChunkSize() {
  const absl::string_view line(line_);
  const absl::string_view size = line.substr(0, line.find(';'));
  if (!ParseNumber(absl::StripTrailingAsciiWhitespace(size), 16, body_left_bytes_)) {
    return Fail(400);
  }
  if (body_left_bytes_ > limits_.max_body_bytes - request_.body.size()) return Fail(413);
  phase_ = body_left_bytes_ == 0 ? Phase::kTrailers : Phase::kChunkData;
  head_bytes_ = 0;
}

void Http1Parser::TakeBody(absl::string_view& bytes) {
  const size_t n = std::min(bytes.size(), body_left_bytes_);
  request_.body.append(bytes.data(), n);
  bytes.remove_prefix(n);
  body_left_bytes_ -= n;
  if (body_left_bytes_ > 0) return;
  phase_ = phase_ == Phase::kBody ? Phase::kDone : Phase::kChunkEnd;
}

}  // namespace tidemark::server
