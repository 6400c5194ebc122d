#include "src/server/transport/grpc_output.h"

#include <algorithm>
#include <string>
#include <utility>

#include "src/base/check.h"

namespace tidemark::server {

void GrpcOutput::Add(OutgoingMessage&& message) {
  const size_t size_bytes = message.size_bytes();
  size_bytes_ += kGrpcPrefixBytes + size_bytes;
  messages_.push_back({GrpcPrefix(static_cast<uint32_t>(size_bytes)), std::move(message.begin),
                       std::move(message.rest), false});
}

size_t GrpcOutput::TakePrefix(const Framed& framed, size_t max_bytes, OutputQueue& queue) {
  const size_t n = std::min(max_bytes, kGrpcPrefixBytes - prefix_taken_bytes_);
  queue.AppendCopy(absl::string_view(framed.prefix.data() + prefix_taken_bytes_, n));
  prefix_taken_bytes_ += n;
  return n;
}

size_t GrpcOutput::TakePieces(Framed& framed, size_t max_bytes, OutputQueue& queue) {
  size_t taken_bytes = 0;
  while (taken_bytes < max_bytes) {
    if (run_ == framed.piece.runs().size()) {
      if (!framed.HasRest()) break;
      framed.piece = framed.rest->Next();
      CHECK(!framed.piece.empty());
      run_ = 0;
    }
    const SharedBytes& run = framed.piece.runs()[run_];
    const absl::string_view rest = run.view().substr(run_taken_bytes_);
    const size_t n = std::min(max_bytes - taken_bytes, rest.size());
    queue.Append(rest.substr(0, n), run.owner());
    taken_bytes += n;
    run_taken_bytes_ += n;
    if (n == rest.size()) {
      ++run_;
      run_taken_bytes_ = 0;
    }
  }
  return taken_bytes;
}

bool GrpcOutput::IsTaken(const Framed& framed) const {
  return prefix_taken_bytes_ == kGrpcPrefixBytes && run_ == framed.piece.runs().size() &&
         !framed.HasRest();
}

void GrpcOutput::Take(size_t byte_count, OutputQueue& queue) {
  CHECK(byte_count <= size_bytes_);
  size_bytes_ -= byte_count;
  while (byte_count > 0) {
    Framed& framed = messages_[first_message_];
    byte_count -= TakePrefix(framed, byte_count, queue);
    byte_count -= TakePieces(framed, byte_count, queue);
    if (!IsTaken(framed)) break;
    DropFirst();
  }
}

void GrpcOutput::DropFirst() {
  messages_[first_message_].piece = ByteChain();
  messages_[first_message_].rest.reset();
  ++first_message_;
  prefix_taken_bytes_ = run_ = run_taken_bytes_ = 0;
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
    std::string left;
    const bool is_first = m == first_message_;
    const absl::Span<const SharedBytes> runs = framed.piece.runs();
    for (size_t i = is_first ? run_ : 0; i < runs.size(); ++i) {
      absl::string_view run = runs[i].view();
      if (is_first && i == run_) run.remove_prefix(run_taken_bytes_);
      left.append(run.data(), run.size());
    }
    while (framed.HasRest()) left += framed.rest->Next().Flatten();
    if (is_first) run_ = run_taken_bytes_ = 0;
    framed.piece = ByteChain(std::move(left));
  }
}

bool GrpcOutput::DropPiece() {
  size_bytes_ = 0;
  while (first_message_ < messages_.size()) {
    Framed& framed = messages_[first_message_];
    framed.piece = ByteChain();
    if (framed.HasRest()) {
      framed.rest->Next();
      return true;
    }
    DropFirst();
  }
  return false;
}

}  // namespace tidemark::server
