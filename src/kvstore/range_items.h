// The items of a range answer, in pieces of bounded size.
//
// Hides that there is no one array: a list of a million items is built, put together, cut, sent and
// dropped piece by piece, so that none of these keeps a thread for long.
// A value that may be handed to another thread.
//
// Invariants:
//  1. No piece is empty, and none has more than kPieceItems items.
//  2. message_bytes is that of the items it has now.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "src/base/bytes.h"
#include "src/base/ids.h"

namespace tidemark::kvstore {

// One key-value of a range answer. `wire` is what to send; the rest is what merging and sorting
// over partitions needs.
struct RangeItem {
  SharedBytes wire;       // canonical mvccpb.KeyValue (already without value for keys_only)
  absl::string_view key;  // views into wire, or (keys_only) into the stored record that wire owns
  absl::string_view value;
  Revision create_revision{0};
  Revision mod_revision{0};
  int64_t version = 0;
};

class RangeItems {
 public:
  static constexpr size_t kPieceItems = 256;
  struct Piece {
    std::vector<RangeItem> items;
    size_t message_bytes = 0;  // of the items as fields of a message, each with tag and length
  };

  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = RangeItem;
    using difference_type = std::ptrdiff_t;
    using pointer = const RangeItem*;
    using reference = const RangeItem&;

    Iterator(const Piece* piece, size_t index) : piece_(piece), index_(index) {}
    reference operator*() const { return piece_->items[index_]; }
    pointer operator->() const { return &piece_->items[index_]; }
    Iterator& operator++() {
      if (++index_ == piece_->items.size()) {
        ++piece_;
        index_ = 0;
      }
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const Piece* piece_;
    size_t index_;
  };

  RangeItems() = default;
  // What was moved from is empty.
  RangeItems(RangeItems&& other) noexcept
      : pieces_(std::move(other.pieces_)),
        first_(std::exchange(other.first_, 0)),
        size_(std::exchange(other.size_, 0)),
        message_bytes_(std::exchange(other.message_bytes_, 0)) {
    other.pieces_.clear();
  }
  RangeItems& operator=(RangeItems&& other) noexcept {
    if (this == &other) return *this;
    std::destroy_at(this);
    return *std::construct_at(this, std::move(other));
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Iterator begin() const { return {pieces_.data() + first_, 0}; }
  Iterator end() const { return {pieces_.data() + pieces_.size(), 0}; }
  const RangeItem& front() const { return pieces_[first_].items.front(); }
  const RangeItem& back() const { return pieces_.back().items.back(); }
  size_t message_bytes() const { return message_bytes_; }

  void Append(RangeItem item);
  // Puts all of `other` behind, moving pieces, not items.
  void Append(RangeItems other);
  // The first piece, which this has no longer. REQUIRES !empty().
  Piece TakePiece();
  // The first `count` items, or all.
  RangeItems Take(size_t count);
  // Those from the front on whose keys are less. REQUIRES that the items are in key order.
  RangeItems TakeBelow(absl::string_view key);
  // Drops what is behind the first `count`.
  void Truncate(size_t count);

 private:
  static void AddTo(Piece& piece, RangeItem item);
  const std::vector<RangeItem>& first_items() const { return pieces_[first_].items; }
  void AppendPiece(Piece piece);
  void Count(const Piece& piece);
  // Moves the first `count` items of the first piece behind `to`.
  void SplitFirst(size_t count, RangeItems* to);

  absl::InlinedVector<Piece, 1> pieces_;
  size_t first_ = 0;  // pieces before it are taken
  size_t size_ = 0;
  size_t message_bytes_ = 0;
};

// Puts lists of disjoint keys, each in key order, together in key order. The effort goes by how
// often neighbours in the answer come from different lists, not by the number of items.
RangeItems MergeByKey(std::vector<RangeItems> lists);

}  // namespace tidemark::kvstore
