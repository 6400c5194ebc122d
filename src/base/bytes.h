// Bytes that are handed from module to module, and to the socket, without being copied.
//
// SharedBytes: a view plus whatever keeps it alive (a segment, a journal block, a string).
// ByteChain: a message as a list of such runs, in order; appending small pieces merges them.
// Immutable once shared; owners may be released on any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tidemark {

class SharedBytes {
 public:
  SharedBytes() = default;
  SharedBytes(absl::string_view view, std::shared_ptr<const void> owner)
      : view_(view), owner_(std::move(owner)) {}

  // Bytes and owner in one piece of memory.
  static SharedBytes Copy(absl::string_view bytes) {
    auto owner = std::make_shared_for_overwrite<char[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), owner.get());
    absl::string_view view(owner.get(), bytes.size());
    return SharedBytes(view, std::move(owner));
  }
  static SharedBytes Own(std::string bytes) {
    auto owner = std::make_shared<const std::string>(std::move(bytes));
    absl::string_view view = *owner;
    return SharedBytes(view, std::move(owner));
  }

  absl::string_view view() const { return view_; }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  absl::string_view view_;
  std::shared_ptr<const void> owner_;
};

class ByteChain {
 public:
  ByteChain() = default;
  explicit ByteChain(std::string bytes) { Append(std::move(bytes)); }
  ByteChain(const ByteChain&) = default;
  ByteChain& operator=(const ByteChain&) = default;
  // What was moved from is empty, and what is replaced frees its list.
  ByteChain(ByteChain&& other) noexcept
      : runs_(std::move(other.runs_)),
        size_bytes_(std::exchange(other.size_bytes_, 0)),
        own_bytes_(std::exchange(other.own_bytes_, 0)) {
    other.runs_.clear();
  }
  ByteChain& operator=(ByteChain&& other) noexcept {
    if (this == &other) return *this;
    std::destroy_at(this);
    return *std::construct_at(this, std::move(other));
  }

  void Append(SharedBytes bytes) {
    if (bytes.empty()) return;
    size_bytes_ += bytes.size();
    runs_.push_back(std::move(bytes));
  }
  void Append(std::string bytes) {
    own_bytes_ += bytes.capacity() + kStringBytes;
    Append(SharedBytes::Own(std::move(bytes)));
  }
  void AppendCopy(absl::string_view bytes) {
    own_bytes_ += bytes.size() + kStringBytes;
    Append(SharedBytes::Copy(bytes));
  }
  void Append(ByteChain other) {
    size_bytes_ += other.size_bytes_;
    own_bytes_ += other.own_bytes_;
    for (SharedBytes& run : other.runs_) runs_.push_back(std::move(run));
  }

  absl::Span<const SharedBytes> runs() const { return runs_; }
  size_t size_bytes() const { return size_bytes_; }
  bool empty() const { return size_bytes_ == 0; }
  // Of the heap, for the list and the strings in it. What it refers to is somebody else's.
  size_t heap_bytes() const {
    const size_t runs = runs_.capacity() > kInlineRuns ? runs_.capacity() : 0;
    return own_bytes_ + runs * sizeof(SharedBytes);
  }

  std::string Flatten() const {
    std::string out;
    out.reserve(size_bytes_);
    for (const SharedBytes& run : runs_) out.append(run.view().data(), run.view().size());
    return out;
  }

 private:
  static constexpr size_t kStringBytes = 48;  // a shared string, besides its bytes
  // Most answers are one run, an event for a watcher is two or three.
  static constexpr size_t kInlineRuns = 3;

  absl::InlinedVector<SharedBytes, kInlineRuns> runs_;
  size_t size_bytes_ = 0;
  size_t own_bytes_ = 0;
};

}  // namespace tidemark
