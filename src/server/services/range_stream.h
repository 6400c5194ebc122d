// KV.RangeStream: one Range answer in pieces, all of one revision (contract 2.4).
//
// Hides paging (pages of references from the router, pinned to the first page's revision) and
// chunking (messages that grow and shrink towards max-request-bytes). While the client reads
// slowly nothing is read ahead beyond one page.
// Bound to the call's loop.
#pragma once

#include <memory>

#include "src/server/rpc.h"
#include "src/server/services/service_context.h"

namespace tidemark::server {

std::unique_ptr<CallHandler> StartRangeStream(ServiceContext& context, ServerCallPtr call);

}  // namespace tidemark::server
