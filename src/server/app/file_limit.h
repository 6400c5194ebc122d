// How many file descriptors this process may have, and what of them connections may take.
//
// The store's own files come first: a journal that cannot open its directory to sync it ends the
// process. Stateless functions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tidemark::server {

// As high as the system lets us.
void RaiseFileLimit();
uint64_t FileLimit();

// Of so many descriptors: all but what the store may have open at once, or half where that is more.
// etcd keeps 150 back; here each partition also has its checkpoint's tables open.
size_t ConnectionsMax(uint64_t descriptors);
// Of them, those to listen-metrics-urls.
inline constexpr size_t kMetricsConnectionsMax = 64;

}  // namespace tidemark::server
