// One connection of a BareTransport: nghttp2's server session and its calls.
//
// Bound to the transport's thread.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "bench/limit/bare_transport.h"

namespace tidemark::bench {

class BareConnection {
 public:
  BareConnection(int fd, BareService* service);
  ~BareConnection();

  bool OnReadable();  // false: it is over
  bool Flush();       // false: it is over
  bool is_dirty() const { return is_dirty_; }
  bool has_unsent() const { return out_begin_ < out_.size(); }

 private:
  friend class BareCall;
  friend struct BareSessionCallbacks;
  void Begin(BareCall* call);

  const int fd_;
  BareService* const service_;
  nghttp2_session* session_ = nullptr;
  absl::flat_hash_map<int32_t, BareCallPtr> calls_;
  std::string out_;
  size_t out_begin_ = 0;
  bool is_dirty_ = true;
};

}  // namespace tidemark::bench
