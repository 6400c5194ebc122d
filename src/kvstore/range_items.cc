#include "src/kvstore/range_items.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"

namespace tidemark::kvstore {
namespace {

bool KeyIsLess(const RangeItem& item, absl::string_view key) { return item.key < key; }

size_t MessageBytes(const RangeItem& item) {
  size_t bytes = 2 + item.wire.size();  // a tag, and the last byte of the length
  for (size_t length = item.wire.size(); length >= 0x80; length >>= 7) ++bytes;
  return bytes;
}

}  // namespace

void RangeItems::Append(RangeItem item) {
  if (first_ == pieces_.size() || pieces_.back().items.size() == kPieceItems) {
    pieces_.emplace_back();
    // A few keys are the rule; whoever has a whole piece will have more.
    if (size_ > 0) pieces_.back().items.reserve(kPieceItems);
  }
  Piece& piece = pieces_.back();
  const size_t bytes_before = piece.message_bytes;
  ++size_;
  AddTo(piece, std::move(item));
  message_bytes_ += piece.message_bytes - bytes_before;
}

void RangeItems::AddTo(Piece& piece, RangeItem item) {
  piece.message_bytes += MessageBytes(item);
  piece.items.push_back(std::move(item));
}

void RangeItems::Append(RangeItems other) {
  if (empty()) {
    *this = std::move(other);
    return;
  }
  for (size_t i = other.first_; i < other.pieces_.size(); ++i) {
    pieces_.push_back(std::move(other.pieces_[i]));
  }
  size_ += other.size_;
  message_bytes_ += other.message_bytes_;
}

void RangeItems::AppendPiece(Piece piece) {
  Count(piece);
  pieces_.push_back(std::move(piece));
}

void RangeItems::Count(const Piece& piece) {
  size_ += piece.items.size();
  message_bytes_ += piece.message_bytes;
}

RangeItems::Piece RangeItems::TakePiece() {
  CHECK(!empty());
  Piece piece = std::move(pieces_[first_++]);
  size_ -= piece.items.size();
  message_bytes_ -= piece.message_bytes;
  if (first_ == pieces_.size()) {
    pieces_.clear();
    first_ = 0;
  }
  return piece;
}

void RangeItems::SplitFirst(size_t count, RangeItems* to) {
  if (count == 0) return;
  Piece whole = TakePiece();
  Piece front, back;
  for (size_t i = 0; i < whole.items.size(); ++i) {
    AddTo(i < count ? front : back, std::move(whole.items[i]));
  }
  to->AppendPiece(std::move(front));
  if (back.items.empty()) return;
  if (first_ == 0) return AppendPiece(std::move(back));
  Count(back);
  pieces_[--first_] = std::move(back);
}

RangeItems RangeItems::Take(size_t count) {
  RangeItems taken;
  while (!empty() && taken.size_ + first_items().size() <= count) taken.AppendPiece(TakePiece());
  if (!empty()) SplitFirst(count - taken.size_, &taken);
  return taken;
}

RangeItems RangeItems::TakeBelow(absl::string_view key) {
  RangeItems taken;
  while (!empty() && first_items().back().key < key) taken.AppendPiece(TakePiece());
  if (empty()) return taken;
  const std::vector<RangeItem>& items = first_items();
  const auto end = std::lower_bound(items.begin(), items.end(), key, KeyIsLess);
  SplitFirst(static_cast<size_t>(end - items.begin()), &taken);
  return taken;
}

void RangeItems::Truncate(size_t count) {
  if (count >= size_) return;
  *this = Take(count);
}

RangeItems MergeByKey(std::vector<RangeItems> lists) {
  RangeItems merged;
  while (true) {
    RangeItems* first = nullptr;
    const RangeItem* next = nullptr;  // the least of the others
    for (RangeItems& list : lists) {
      if (list.empty()) continue;
      if (first == nullptr || list.front().key < first->front().key) {
        if (first != nullptr) next = &first->front();
        first = &list;
      } else if (next == nullptr || list.front().key < next->key) {
        next = &list.front();
      }
    }
    if (first == nullptr) return merged;
    merged.Append(next == nullptr ? std::move(*first) : first->TakeBelow(next->key));
    if (next == nullptr) return merged;
  }
}

}  // namespace tidemark::kvstore
