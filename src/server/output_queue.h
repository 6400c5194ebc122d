// Bytes on their way to a socket, in order: small ones copied together, large ones by reference.
//
// Bound to its connection's loop.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "src/base/bytes.h"

namespace tidemark::server {

class OutputQueue {
 public:
  // Up to this size copying is cheaper than one more entry in a gathered write.
  static constexpr size_t kCopyLimitBytes = 2048;

  void AppendCopy(absl::string_view bytes);
  // Keeps `owner` until the bytes are written; copies them when they are few.
  void Append(absl::string_view bytes, const std::shared_ptr<const void>& owner);

  bool empty() const { return size_bytes_ == 0; }
  size_t size_bytes() const { return size_bytes_; }

  // The first runs, at most `max_runs`; returns how many.
  int Peek(iovec* runs, int max_runs) const;
  // Copies the first bytes, for sockets that cannot gather.
  size_t CopyFront(char* out, size_t max_bytes) const;
  void Drop(size_t byte_count);
  // Copies what is referred to, so that its owners may go.
  void OwnAll();

 private:
  struct Chunk {
    const char* data;
    size_t size_bytes;
    std::shared_ptr<const void> owner;
    bool referred = false;  // the owner is somebody else's
  };
  struct Block;

  std::vector<Chunk> chunks_;
  size_t first_chunk_ = 0;
  size_t size_bytes_ = 0;
  std::shared_ptr<Block> block_;  // where copies go
  size_t block_used_bytes_ = 0;
};

}  // namespace tidemark::server
