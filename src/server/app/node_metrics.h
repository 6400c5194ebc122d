// The metrics of the node itself: store, journal, leases, identity (contract 11).
//
// Hides names and help texts. Everything is read when somebody scrapes.
#pragma once

#include "src/partition/local_store.h"
#include "src/server/observability/metrics.h"
#include "src/server/services/service_context.h"

namespace tidemark::server {

// The store and the context must outlive the last scrape.
void AddNodeMetrics(Metrics& metrics, partition::LocalStore& store, ServiceContext& context,
                    const std::map<std::string, bool>& feature_gates);

// Of etcd's shape: buckets 0.001 * 2^i, i < 14.
std::function<void(absl::Duration)> DiskHistogram(Metrics& metrics, const std::string& name,
                                                  const std::string& help);

}  // namespace tidemark::server
