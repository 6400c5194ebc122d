// What all connections of one transport share.
//
// Hides nothing; immutable after Transport::Start, except the counters, which are atomic.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "src/base/memory_budget.h"
#include "src/server/rpc.h"
#include "src/server/transport/header_field.h"
#include "src/server/transport/tls_context.h"
#include "src/server/transport/transport_options.h"

namespace tidemark::server {

struct TransportContext {
  TransportOptions options;
  std::vector<Method> methods;
  MethodTable method_by_path;
  absl::flat_hash_set<std::string> services;  // "etcdserverpb.KV"
  HttpHandler http_handler;
  TrafficObserver* traffic = nullptr;
  MemoryBudget* budget = &MemoryBudget::Unlimited();

  // Whether a call or connection more fits into memory.
  bool HasMemory(bool essential) const {
    constexpr auto kAccount = MemoryAccount::kConnections;
    return budget->free_bytes(kAccount) > (essential ? -budget->share_bytes(kAccount) / 4 : 0);
  }
  // Answers and connections hold so much that some should give it up.
  bool MemoryIsShort() const {
    for (const MemoryAccount account : {MemoryAccount::kReads, MemoryAccount::kConnections}) {
      if (budget->free_bytes(account) < budget->share_bytes(account) / 4) return true;
    }
    return false;
  }

  std::atomic<size_t> open_connections{0};
  std::atomic<uint64_t> accepted_connections{0};
  std::atomic<uint64_t> output_rests{0};  // of connections with something long to send
  std::atomic<bool> shutting_down{false};
};

// What one listener offers to its connections.
struct ListenerTraits {
  bool plaintext = true;
  std::shared_ptr<TlsContext> tls;  // nullptr: no TLS
  bool serves_grpc = true;
  bool serves_http = true;
};

}  // namespace tidemark::server
