#include "src/server/services/watch_message.h"

#include <memory>

#include "src/base/failpoint.h"

namespace tidemark::server {
namespace {

// Larger ones refer to what is stored.
constexpr size_t kCopiedBytes = 4 << 10;

struct Newest {
  Header header;
  int64_t watch_id = 0;
  std::weak_ptr<const mvcc::EventBatch> batch;  // so that no other one can take its address
  SharedBytes bytes;

  bool IsOf(const WatchReply& reply, const mvcc::EventBatchPtr& its_batch) const {
    if (batch.owner_before(its_batch) || its_batch.owner_before(batch)) return false;
    if (PLANTED_BUG("watch_message_of_another")) return true;
    return watch_id == reply.watch_id && header == reply.header;
  }
};
thread_local Newest newest;

}  // namespace

ByteChain EncodeEventsFor(const WatchReply& reply, const mvcc::EventBatchPtr& batch) {
  if (batch->encoded_size_bytes() > kCopiedBytes) return EncodeWatch(reply, batch->Encoded());
  if (!newest.IsOf(reply, batch)) {
    newest = {reply.header, reply.watch_id, batch,
              SharedBytes::Own(EncodeWatch(reply, batch->Encoded()).Flatten())};
  }
  ByteChain message;
  message.Append(newest.bytes);
  return message;
}

}  // namespace tidemark::server
