// A Range's answer as a message, encoded piece by piece while it is sent if it is long.
//
// Hides when it is worth it. Pure, apart from the memory that the answer holds.
#pragma once

#include "src/kvstore/results.h"
#include "src/server/outgoing_message.h"
#include "src/server/services/reply_encoder.h"

namespace tidemark::server {

OutgoingMessage MakeRangeReply(const Header& header, kvstore::RangeResult result);

}  // namespace tidemark::server
