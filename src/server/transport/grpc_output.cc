#include "src/server/transport/grpc_output.h"

#include <algorithm>
#include <string>
#include <utility>

#include "src/base/check.h"

namespace tidemark::server {

void GrpcOutput::Add(ByteChain message) {
  size_bytes_ += kGrpcPrefixBytes + message.size_bytes();
  const auto prefix = GrpcPrefix(static_cast<uint32_t>(message.size_bytes()));
  messages_.push_back({prefix, std::move(message), false});
}

void GrpcOutput::Take(size_t byte_count, OutputQueue& queue) {
  CHECK(byte_count <= size_bytes_);
  size_bytes_ -= byte_count;
  while (byte_count > 0) {
    Framed& framed = messages_[first_message_];
    if (prefix_taken_bytes_ < kGrpcPrefixBytes) {
      const size_t n = std::min(byte_count, kGrpcPrefixBytes - prefix_taken_bytes_);
      queue.AppendCopy(absl::string_view(framed.prefix.data() + prefix_taken_bytes_, n));
      prefix_taken_bytes_ += n;
      byte_count -= n;
    }
    const std::vector<SharedBytes>& runs = framed.message.runs();
    while (byte_count > 0 && run_ < runs.size()) {
      const absl::string_view rest = runs[run_].view().substr(run_taken_bytes_);
      const size_t n = std::min(byte_count, rest.size());
      queue.Append(rest.substr(0, n), runs[run_].owner());
      byte_count -= n;
      run_taken_bytes_ += n;
      if (n == rest.size()) {
        ++run_;
        run_taken_bytes_ = 0;
      }
    }
    if (prefix_taken_bytes_ < kGrpcPrefixBytes || run_ < runs.size()) break;
    framed.message = ByteChain();
    ++first_message_;
    prefix_taken_bytes_ = run_ = run_taken_bytes_ = 0;
  }
  if (first_message_ == messages_.size()) {
    messages_.clear();
    first_message_ = 0;
  } else if (first_message_ > 64 && first_message_ > messages_.size() / 2) {
    messages_.erase(messages_.begin(), messages_.begin() + first_message_);
    first_message_ = 0;
  }
}

void GrpcOutput::OwnAll() {
  for (size_t m = first_message_; m < messages_.size(); ++m) {
    Framed& framed = messages_[m];
    if (std::exchange(framed.owned, true)) continue;
    std::string rest;
    const std::vector<SharedBytes>& runs = framed.message.runs();
    for (size_t i = m == first_message_ ? run_ : 0; i < runs.size(); ++i) {
      absl::string_view run = runs[i].view();
      if (m == first_message_ && i == run_) run.remove_prefix(run_taken_bytes_);
      rest.append(run.data(), run.size());
    }
    if (m == first_message_) run_ = run_taken_bytes_ = 0;
    framed.message = ByteChain(std::move(rest));
  }
}

void GrpcOutput::Clear() {
  messages_.clear();
  first_message_ = prefix_taken_bytes_ = run_ = run_taken_bytes_ = size_bytes_ = 0;
}

}  // namespace tidemark::server
