#include "src/server/output_queue.h"

#include <algorithm>
#include <cstring>

#include "src/base/check.h"

namespace tidemark::server {
namespace {

// With what shared_ptr adds, the largest size that jemalloc keeps for a thread.
constexpr size_t kBlockBytes = (32 << 10) - 64;

}  // namespace

struct OutputQueue::Block {
  char bytes[kBlockBytes];
};

void OutputQueue::AppendCopy(absl::string_view bytes) {
  while (!bytes.empty()) {
    if (block_ == nullptr || block_used_bytes_ == kBlockBytes) {
      block_ = std::make_shared_for_overwrite<Block>();
      block_used_bytes_ = 0;
    }
    const size_t n = std::min(bytes.size(), kBlockBytes - block_used_bytes_);
    char* to = block_->bytes + block_used_bytes_;
    std::memcpy(to, bytes.data(), n);
    const bool extends_last = first_chunk_ < chunks_.size() && chunks_.back().owner == block_ &&
                              chunks_.back().data + chunks_.back().size_bytes == to;
    if (extends_last) {
      chunks_.back().size_bytes += n;
    } else {
      chunks_.push_back({to, n, block_});
    }
    block_used_bytes_ += n;
    size_bytes_ += n;
    bytes.remove_prefix(n);
  }
}

void OutputQueue::Append(absl::string_view bytes, const std::shared_ptr<const void>& owner) {
  if (bytes.size() <= kCopyLimitBytes) return AppendCopy(bytes);
  chunks_.push_back({bytes.data(), bytes.size(), owner, /*referred=*/true});
  size_bytes_ += bytes.size();
}

void OutputQueue::OwnAll() {
  for (size_t i = first_chunk_; i < chunks_.size(); ++i) {
    Chunk& chunk = chunks_[i];
    if (!chunk.referred) continue;
    const SharedBytes copy = SharedBytes::Copy(absl::string_view(chunk.data, chunk.size_bytes));
    chunk = {copy.view().data(), copy.size(), copy.owner(), /*referred=*/false};
  }
}

int OutputQueue::Peek(iovec* runs, int max_runs) const {
  int count = 0;
  for (size_t i = first_chunk_; i < chunks_.size() && count < max_runs; ++i, ++count) {
    runs[count] = {const_cast<char*>(chunks_[i].data), chunks_[i].size_bytes};
  }
  return count;
}

size_t OutputQueue::CopyFront(char* out, size_t max_bytes) const {
  size_t copied = 0;
  for (size_t i = first_chunk_; i < chunks_.size() && copied < max_bytes; ++i) {
    const size_t n = std::min(chunks_[i].size_bytes, max_bytes - copied);
    std::memcpy(out + copied, chunks_[i].data, n);
    copied += n;
  }
  return copied;
}

void OutputQueue::Drop(size_t byte_count) {
  CHECK(byte_count <= size_bytes_);
  size_bytes_ -= byte_count;
  while (byte_count > 0) {
    Chunk& chunk = chunks_[first_chunk_];
    const size_t n = std::min(byte_count, chunk.size_bytes);
    chunk.data += n;
    chunk.size_bytes -= n;
    byte_count -= n;
    if (chunk.size_bytes == 0) {
      chunk.owner.reset();
      ++first_chunk_;
    }
  }
  if (size_bytes_ == 0) {
    chunks_.clear();
    first_chunk_ = 0;
    block_used_bytes_ = 0;  // nothing refers to the block any more
  } else if (first_chunk_ > 64 && first_chunk_ > chunks_.size() / 2) {
    chunks_.erase(chunks_.begin(), chunks_.begin() + first_chunk_);
    first_chunk_ = 0;
  }
}

}  // namespace tidemark::server
