#include "src/mvcc/segment_table.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/crc32c.h"

namespace tidemark::mvcc {
namespace {

constexpr uint64_t kMagic = 0x33304C4254474D54;   // "TMGTBL03"
constexpr uint64_t kMagicOfAny = 0x4C4254474D54;  // "TMGTBL"
constexpr uint64_t kMagicMask = 0xFFFFFFFFFFFF;
constexpr size_t kPlaces = 32768;

void Store(uint64_t& word, uint64_t value) {
  std::atomic_ref<uint64_t>(word).store(value, std::memory_order_release);
}

// A listed sequence carries a check, so that a flipped bit is not taken for another segment.
uint64_t Listed(uint64_t sequence) {
  const uint64_t check = (sequence * 0x9E3779B97F4A7C15) >> 48;
  return sequence << 16 | check;
}

struct Slot {
  SegmentTable::Commit commit;
  uint64_t turn = 0;
  uint64_t check = 0;  // written last

  uint64_t ComputeCheck() const {
    const absl::string_view bytes(reinterpret_cast<const char*>(this), offsetof(Slot, check));
    return uint64_t{Crc32c(bytes)} << 32 | static_cast<uint32_t>(turn) | 1;
  }
};

}  // namespace

struct SegmentTable::Layout {
  uint64_t magic;
  uint64_t identity;
  uint64_t incomplete;
  uint64_t check;  // of magic and identity
  Slot slots[2];
  uint64_t places[kPlaces];

  uint64_t ComputeCheck() const {
    return Crc32c(absl::string_view(reinterpret_cast<const char*>(this), 2 * sizeof(uint64_t)));
  }
};

SegmentTable::SegmentTable(std::unique_ptr<MemoryRegion> region) : region_(std::move(region)) {}

SegmentTable::Layout& SegmentTable::layout() const {
  return *reinterpret_cast<Layout*>(region_->data());
}

absl::StatusOr<std::unique_ptr<SegmentTable>> SegmentTable::Create(MemoryMapper& memory,
                                                                   const std::string& name,
                                                                   uint64_t identity) {
  absl::StatusOr<std::unique_ptr<MemoryRegion>> region = memory.Create(name, sizeof(Layout));
  if (!region.ok()) return region.status();
  std::unique_ptr<SegmentTable> table(new SegmentTable(*std::move(region)));
  Layout& layout = table->layout();
  layout.identity = identity;
  layout.magic = kMagic;
  for (uint32_t place = kPlaces; place-- > 0;) table->free_.push_back(place);
  table->Publish({});
  Store(layout.check, layout.ComputeCheck());
  return table;
}

absl::StatusOr<std::unique_ptr<SegmentTable>> SegmentTable::Open(MemoryMapper& memory,
                                                                 const std::string& name,
                                                                 uint64_t identity) {
  absl::StatusOr<std::unique_ptr<MemoryRegion>> region = memory.Open(name);
  if (!region.ok()) return region.status();
  std::unique_ptr<SegmentTable> table(new SegmentTable(*std::move(region)));
  absl::Status loaded = table->Load(identity);
  if (!loaded.ok()) {
    table->Discard();
    return loaded;
  }
  return table;
}

absl::Status SegmentTable::Load(uint64_t identity) {
  const Layout& layout = this->layout();
  const bool has_magic = region_->size_bytes() >= sizeof(layout.magic);
  if (has_magic && layout.magic != kMagic && (layout.magic & kMagicMask) == kMagicOfAny) {
    return absl::DataLossError("a segment table of another version");
  }
  if (region_->size_bytes() != sizeof(Layout)) return absl::DataLossError("table of another size");
  if (layout.magic != kMagic || layout.check != layout.ComputeCheck()) {
    return absl::DataLossError("not a segment table");
  }
  if (layout.identity != identity) return absl::DataLossError("segments of another store");
  if (layout.incomplete != 0) return absl::DataLossError("more segments than the table lists");
  const Slot* newest = nullptr;
  for (const Slot& slot : layout.slots) {
    if (slot.check != slot.ComputeCheck()) continue;
    if (newest == nullptr || slot.turn > newest->turn) newest = &slot;
  }
  if (newest == nullptr) return absl::DataLossError("no commit in the segment table");
  newest_ = newest->commit;
  turn_ = newest->turn;
  for (uint32_t place = kPlaces; place-- > 0;) {
    const uint64_t word = layout.places[place];
    if (word == 0) {
      free_.push_back(place);
    } else if (word != Listed(word >> 16) || !place_of_.emplace(word >> 16, place).second) {
      return absl::DataLossError("the segment table is damaged");
    }
  }
  return absl::OkStatus();
}

void SegmentTable::Add(uint64_t sequence) {
  CHECK(sequence > 0 && sequence < uint64_t{1} << 48);
  if (free_.empty()) return Store(layout().incomplete, 1);
  const uint32_t place = free_.back();
  free_.pop_back();
  CHECK(place_of_.emplace(sequence, place).second);
  Store(layout().places[place], Listed(sequence));
}

void SegmentTable::Remove(uint64_t sequence) {
  auto it = place_of_.find(sequence);
  if (it == place_of_.end()) return;  // there was no room for it
  Store(layout().places[it->second], 0);
  free_.push_back(it->second);
  place_of_.erase(it);
}

std::vector<uint64_t> SegmentTable::Sequences() const {
  std::vector<uint64_t> sequences;
  for (const auto& [sequence, place] : place_of_) sequences.push_back(sequence);
  std::sort(sequences.begin(), sequences.end());
  return sequences;
}

void SegmentTable::Publish(const Commit& commit) {
  newest_ = commit;
  Slot next{.commit = commit, .turn = ++turn_};
  next.check = next.ComputeCheck();
  Slot& slot = layout().slots[turn_ % 2];
  Store(slot.check, 0);
  std::memcpy(static_cast<void*>(&slot), &next, offsetof(Slot, check));
  Store(slot.check, next.check);
}

}  // namespace tidemark::mvcc
