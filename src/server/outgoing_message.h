// One protobuf message on its way out: whole, or with a rest that is made while it is sent.
//
// Hides where the rest comes from. A list of a million items is never encoded, held or dropped in
// one go: each piece is made when the network has taken the one before.
// A value; the rest is used on one thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "src/base/bytes.h"

namespace tidemark::server {

class MessageRest {
 public:
  virtual ~MessageRest() = default;
  virtual size_t size_bytes() const = 0;  // that are still to come
  // The next piece, of bounded size unless a single value is larger. REQUIRES size_bytes() > 0.
  virtual ByteChain Next() = 0;
};

struct OutgoingMessage {
  OutgoingMessage(ByteChain&& whole) : begin(std::move(whole)) {}  // NOLINT: most are whole
  OutgoingMessage(ByteChain first_piece, std::unique_ptr<MessageRest> other_pieces)
      : begin(std::move(first_piece)), rest(std::move(other_pieces)) {}

  size_t size_bytes() const {
    return begin.size_bytes() + (rest != nullptr ? rest->size_bytes() : 0);
  }

  ByteChain begin;
  std::unique_ptr<MessageRest> rest;  // nullptr: there is none
};

}  // namespace tidemark::server
