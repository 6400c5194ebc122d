// Lease.LeaseKeepAlive: a stream whose requests are answered in order.
//
// Hides that several are asked for at once and come back in any order. Bound to the call's loop.
#pragma once

#include <memory>

#include "src/server/rpc.h"
#include "src/server/services/service_context.h"

namespace tidemark::server {

std::unique_ptr<CallHandler> StartLeaseKeepAlive(ServiceContext& context, ServerCallPtr call);

}  // namespace tidemark::server
