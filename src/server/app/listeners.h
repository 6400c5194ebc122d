// Which listener serves what (contract 9.1): from URL lists to the transport's listeners.
//
// Pure.
#pragma once

#include <string>
#include <vector>

#include "src/server/app/self_signed.h"
#include "src/server/options/options.h"
#include "src/server/transport/transport.h"

namespace tidemark::server {

struct PlannedListener {
  ListenerSpec spec;
  std::string address;  // for the log
  std::string traffic;  // "grpc+http", "grpc" or "http"
};

// One per address: the same host and port as http and https become one listener.
std::vector<PlannedListener> PlanClientListeners(const Options& options);
std::vector<PlannedListener> PlanMetricsListeners(const Options& options);

// What --auto-tls has to make: for every host that clients may use.
SelfSignedRequest SelfSignedFor(const Options& options);

TransportOptions MakeTransportOptions(const Options& options, size_t loop_count);

}  // namespace tidemark::server
