// Messages of one call waiting for the network, cut into whatever pieces flow control allows.
//
// Messages are never copied whole: large runs reach the socket by reference. Bound to the loop.
#pragma once

#include <array>
#include <memory>

#include "absl/container/inlined_vector.h"
#include "src/base/bytes.h"
#include "src/server/outgoing_message.h"
#include "src/server/output_queue.h"
#include "src/server/transport/grpc_wire.h"

namespace tidemark::server {

class GrpcOutput {
 public:
  void Add(OutgoingMessage&& message);
  size_t size_bytes() const { return size_bytes_; }
  bool empty() const { return size_bytes_ == 0; }
  // REQUIRES: byte_count <= size_bytes().
  void Take(size_t byte_count, OutputQueue& queue);
  // Copies what is not taken yet, so that whatever it refers to may go.
  void OwnAll();
  // Gives up one piece, and messages that have no more; true while there are others.
  bool DropPiece();

 private:
  struct Framed {
    bool HasRest() const { return rest != nullptr && rest->size_bytes() > 0; }

    std::array<char, kGrpcPrefixBytes> prefix;
    ByteChain piece;  // the one that is being taken
    std::unique_ptr<MessageRest> rest;
    bool owned = false;
  };

  size_t TakePrefix(const Framed& framed, size_t max_bytes, OutputQueue& queue);
  size_t TakePieces(Framed& framed, size_t max_bytes, OutputQueue& queue);
  bool IsTaken(const Framed& framed) const;
  void DropFirst();

  absl::InlinedVector<Framed, 1> messages_;
  size_t first_message_ = 0;
  size_t prefix_taken_bytes_ = 0;  // of the first message
  size_t run_ = 0;                 // of its piece, the first one not taken whole
  size_t run_taken_bytes_ = 0;
  size_t size_bytes_ = 0;
};

}  // namespace tidemark::server
