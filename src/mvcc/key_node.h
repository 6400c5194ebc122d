// One key with the list of its stored versions, in a single allocation with the key's bytes.
//
// Hides that one version (the usual case) lies inside the node and more lie in a heap array, which
// is given back when compaction leaves one; and that the array's front is erased by counting, so
// that taking many versions away a few at a time costs no more than at once. 32 bytes besides the
// key.
// Sequence-bound.
//
// Invariants:
//  1. Versions are in ascending (main, sub); two may share a main.
//  2. Versions are moved only once for about as many pushed or erased.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/ids.h"
#include "src/mvcc/location.h"

namespace tidemark::mvcc {

class Version {
 public:
  Version(Revision main, bool tombstone, Location location)
      : main_(main.value()), packed_(location.raw() | (tombstone ? kTombstoneBit : 0)) {}

  Revision main() const { return Revision(main_); }
  bool tombstone() const { return (packed_ & kTombstoneBit) != 0; }
  Location location() const { return Location(packed_ & ~kTombstoneBit); }
  void set_location(Location location) { packed_ = location.raw() | (packed_ & kTombstoneBit); }

 private:
  static constexpr uint64_t kTombstoneBit = uint64_t{1} << 63;

  int64_t main_;
  uint64_t packed_;
};

class KeyNode {
 public:
  struct Destroyer {
    void operator()(KeyNode* node) const { Destroy(node); }
  };
  using Owned = std::unique_ptr<KeyNode, Destroyer>;

  static KeyNode* Create(absl::string_view key) {
    CHECK(!key.empty() && key.size() <= UINT32_MAX);
    void* memory = ::operator new(sizeof(KeyNode) + key.size());
    auto* node = new (memory) KeyNode(static_cast<uint32_t>(key.size()));
    std::memcpy(reinterpret_cast<char*>(node + 1), key.data(), key.size());
    return node;
  }
  static void Destroy(KeyNode* node) {
    node->~KeyNode();
    ::operator delete(node);
  }
  KeyNode(const KeyNode&) = delete;
  KeyNode& operator=(const KeyNode&) = delete;

  absl::string_view key() const {
    return absl::string_view(reinterpret_cast<const char*>(this + 1), key_size_);
  }
  absl::Span<const Version> versions() const { return {data(), count_}; }
  absl::Span<Version> mutable_versions() { return {data(), count_}; }
  const Version* newest() const { return count_ == 0 ? nullptr : data() + count_ - 1; }

  // The newest version with main <= at, a tombstone too; nullptr when there is none.
  const Version* NewestAt(Revision at) const {
    const Version* const begin = data();
    if (count_ > 0 && begin[count_ - 1].main() <= at) return begin + count_ - 1;
    const Version* const above = FirstAbove(at);
    return above == begin ? nullptr : above - 1;
  }
  // The same without tombstones: what a read at `at` finds.
  const Version* LiveAt(Revision at) const {
    const Version* version = NewestAt(at);
    return version == nullptr || version->tombstone() ? nullptr : version;
  }

  // How many of the oldest have main <= at.
  size_t CountUpTo(Revision at) const { return static_cast<size_t>(FirstAbove(at) - data()); }

  void PushBack(Version version) {
    if (erased_ + count_ == capacity_) Reallocate(count_ <= 1 ? 2 : count_ + count_ / 2 + 1);
    new (data() + count_) Version(version);
    ++count_;
  }
  void EraseFront(uint32_t erased) {
    CHECK(erased <= count_);
    count_ -= erased;
    if (capacity_ == 1) return;
    erased_ += erased;
    if (count_ <= 1) {
      Reallocate(1);
    } else if (count_ < capacity_ / 2 || PLANTED_BUG("mvcc_erased_front_moves_the_rest")) {
      Reallocate(count_);
    }
  }

  // For whoever is about to look at many nodes.
  void Prefetch() const {
    constexpr ptrdiff_t kCacheLineBytes = 64;
    __builtin_prefetch(this);
    __builtin_prefetch(reinterpret_cast<const char*>(this) + kCacheLineBytes);
  }

  // In the store's queue of keys that compaction will look at.
  uint32_t queued : 1;

 private:
  explicit KeyNode(uint32_t key_size) : queued(0), erased_(0), key_size_(key_size) {}
  ~KeyNode() {
    if (capacity_ > 1) ::operator delete(storage_.heap);
  }

  Version* data() { return capacity_ > 1 ? storage_.heap + erased_ : &storage_.inlined; }
  const Version* data() const {
    return capacity_ > 1 ? storage_.heap + erased_ : &storage_.inlined;
  }
  const Version* FirstAbove(Revision at) const {
    return std::upper_bound(data(), data() + count_, at,
                            [](Revision r, const Version& v) { return r < v.main(); });
  }

  void Reallocate(uint32_t capacity) {
    CHECK(capacity >= count_ && capacity <= kMaxCapacity);
    const Version* const old = data();
    Version* const old_heap = capacity_ > 1 ? storage_.heap : nullptr;
    if (capacity > 1) {
      auto* heap = static_cast<Version*>(::operator new(capacity * sizeof(Version)));
      std::memcpy(static_cast<void*>(heap), old, count_ * sizeof(Version));
      storage_.heap = heap;
    } else if (count_ == 1) {
      const Version only = *old;
      storage_.inlined = only;
    }
    capacity_ = capacity;
    erased_ = 0;
    ::operator delete(old_heap);
  }

  union Storage {
    Storage() : heap(nullptr) {}
    Version inlined;
    Version* heap;
  };

  static constexpr uint32_t kMaxCapacity = (uint32_t{1} << 31) - 1;

  uint32_t erased_ : 31;  // at the heap array's front
  uint32_t key_size_;
  uint32_t count_ = 0;
  uint32_t capacity_ = 1;  // 1: inlined
  Storage storage_;
};
static_assert(sizeof(KeyNode) == 32);

}  // namespace tidemark::mvcc
