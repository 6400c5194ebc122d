#include "src/server/services/range_reply.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::server {
namespace {

using kvstore::RangeItems;
using kvstore::RangeResult;

class RangeRest final : public MessageRest {
 public:
  explicit RangeRest(RangeResult result)
      : result_(std::move(result)),
        end_(EncodeRangeEnd(result_)),
        all_items_(static_cast<int64_t>(result_.items.size())),
        all_held_bytes_(result_.charge.bytes()) {}

  size_t size_bytes() const override { return result_.items.message_bytes() + end_.size_bytes(); }

  ByteChain Next() override {
    if (result_.items.empty()) return std::exchange(end_, ByteChain());
    ByteChain piece = EncodeRangeItems(result_.items.TakePiece().items);
    if (PLANTED_BUG("range_reply_skips_a_piece") && !result_.items.empty()) {
      piece = EncodeRangeItems(result_.items.TakePiece().items);
    }
    const auto left = static_cast<int64_t>(result_.items.size());
    result_.charge.Set(all_held_bytes_ / all_items_ * left);
    return piece;
  }

 private:
  RangeResult result_;
  ByteChain end_;
  const int64_t all_items_;
  const int64_t all_held_bytes_;
};

}  // namespace

OutgoingMessage MakeRangeReply(const Header& header, RangeResult result) {
  if (result.items.size() <= RangeItems::kPieceItems) return EncodeRange(header, result);
  return {EncodeHeaderOnly(header), std::make_unique<RangeRest>(std::move(result))};
}

}  // namespace tidemark::server
