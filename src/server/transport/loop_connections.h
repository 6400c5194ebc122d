// The connections of one loop, and their end.
//
// Hides who owns connections. Bound to the loop, except BeginShutdown.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "src/server/transport/connection.h"
#include "src/server/transport/context.h"
#include "src/server/transport/event_loop.h"
#include "src/server/transport/output_pacer.h"

namespace tidemark::server {

class LoopConnections {
 public:
  // `on_ended` is called once, on the loop: shutdown has begun and no connection is left.
  LoopConnections(TransportContext& context, EventLoop& loop, std::function<void()> on_ended)
      : context_(context),
        loop_(loop),
        on_ended_(std::move(on_ended)),
        memory_(*context.budget, MemoryAccount::kConnections) {}

  // The caller has counted it in open_connections.
  void Adopt(const ListenerTraits& traits, Accepted accepted);
  // The one whose client has been silent longest; false when all are being answered.
  bool CloseOneIdle();
  // Any thread. Ends every connection, at the latest soon after `end`.
  void BeginShutdown(absl::Duration end);

 private:
  void Forget(Connection* connection);
  void CloseAll();
  void EndIfEmpty();
  // While there are connections: looks whether memory is short.
  void LookAtMemoryLater();

  TransportContext& context_;
  EventLoop& loop_;
  const std::function<void()> on_ended_;
  BatchedCharge memory_;
  OutputPacer pacer_;
  absl::flat_hash_map<Connection*, std::shared_ptr<Connection>> connections_;
  bool looks_at_memory_ = false;
  bool shutting_down_ = false;
  bool ended_ = false;
};

}  // namespace tidemark::server
