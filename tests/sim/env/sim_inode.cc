#include "tests/sim/env/sim_inode.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "src/base/check.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::sim {
namespace {

const std::string& ZeroPage() {
  static const std::string* zeros = new std::string(kPageBytes, '\0');
  return *zeros;
}

uint64_t PagesFor(uint64_t size_bytes) { return (size_bytes + kPageBytes - 1) / kPageBytes; }

// New bytes up to a point, old ones behind it.
void TearAtByte(absl::string_view before, std::string& page, Random& random) {
  const size_t cut = DrawBelow(random, kPageBytes + 1);
  std::copy(before.begin() + cut, before.end(), page.begin() + cut);
}

void TearBetweenSectors(absl::string_view before, std::string& page, Random& random) {
  for (size_t at = 0; at < kPageBytes; at += kSectorBytes) {
    if (DrawOneIn(random, 2)) std::copy_n(before.begin() + at, kSectorBytes, page.begin() + at);
  }
}

// Only bytes that the crash may change: those that differ from the synced ones.
void Garble(absl::string_view before, std::string& page, Random& random) {
  for (size_t i = 0; i < kPageBytes; ++i) {
    if (page[i] != before[i]) page[i] = static_cast<char>(random.Next());
  }
}

}  // namespace

absl::string_view SimInode::Image::PageOrZeros(uint64_t index) const {
  auto page = pages.find(index);
  return page == pages.end() ? ZeroPage() : *page->second;
}

std::string& SimInode::Image::WritablePage(uint64_t index) {
  Page& page = pages[index];
  if (page == nullptr) {
    page = std::make_shared<std::string>(ZeroPage());
  } else if (page.use_count() > 1) {
    page = std::make_shared<std::string>(*page);
  }
  return *page;
}

std::string SimInode::Image::Read(uint64_t offset, size_t size) const {
  std::string bytes;
  if (offset >= size_bytes) return bytes;
  size = std::min<uint64_t>(size, size_bytes - offset);
  bytes.reserve(size);
  while (bytes.size() < size) {
    const uint64_t at = offset + bytes.size();
    const absl::string_view part =
        PageOrZeros(at / kPageBytes).substr(at % kPageBytes, size - bytes.size());
    bytes.append(part.data(), part.size());
  }
  return bytes;
}

// What is cut off reads as zeros when the file grows again.
void SimInode::Image::Resize(uint64_t new_size_bytes) {
  if (new_size_bytes < size_bytes) {
    pages.erase(pages.lower_bound(PagesFor(new_size_bytes)), pages.end());
    const size_t kept = new_size_bytes % kPageBytes;
    const uint64_t last = new_size_bytes / kPageBytes;
    if (kept != 0 && pages.contains(last)) {
      std::string& page = WritablePage(last);
      std::fill(page.begin() + kept, page.end(), '\0');
    }
  }
  size_bytes = new_size_bytes;
}

uint64_t SimInode::allocated_bytes() const {
  const auto beyond = memory_.pages.lower_bound(reserved_pages_);
  return (reserved_pages_ + std::distance(beyond, memory_.pages.end())) * kPageBytes;
}

std::string SimInode::Read(uint64_t offset, size_t size) const {
  return memory_.Read(offset, size);
}

bool SimInode::Write(uint64_t offset, absl::string_view bytes, uint64_t free_bytes) {
  while (!bytes.empty()) {
    const uint64_t index = offset / kPageBytes;
    if (index >= reserved_pages_ && !memory_.pages.contains(index)) {
      if (free_bytes < kPageBytes) return false;
      free_bytes -= kPageBytes;
    }
    const size_t start = offset % kPageBytes;
    const size_t count = std::min(bytes.size(), kPageBytes - start);
    std::copy_n(bytes.begin(), count, memory_.WritablePage(index).begin() + start);
    unsynced_pages_.insert(index);
    offset += count;
    bytes.remove_prefix(count);
    if (offset > memory_.size_bytes) {
      memory_.size_bytes = offset;
      size_unsynced_ = true;
    }
  }
  return true;
}

bool SimInode::Preallocate(uint64_t size_bytes, uint64_t free_bytes) {
  const uint64_t wanted = PagesFor(size_bytes);
  if (wanted > reserved_pages_) {
    const auto first = memory_.pages.lower_bound(reserved_pages_);
    const auto last = memory_.pages.lower_bound(wanted);
    const uint64_t present = std::distance(first, last);
    if ((wanted - reserved_pages_ - present) * kPageBytes > free_bytes) return false;
    reserved_pages_ = wanted;
  }
  if (size_bytes > memory_.size_bytes) {
    memory_.size_bytes = size_bytes;
    size_unsynced_ = true;
  }
  return true;
}

void SimInode::Truncate(uint64_t size_bytes) {
  if (size_bytes < memory_.size_bytes) {
    cut_to_bytes_ = std::min(cut_to_bytes_, size_bytes);
    reserved_pages_ = std::min(reserved_pages_, PagesFor(size_bytes));
  }
  size_unsynced_ = size_unsynced_ || size_bytes != memory_.size_bytes;
  memory_.Resize(size_bytes);
}

void SimInode::Sync() {
  if (cut_to_bytes_ < disk_.size_bytes) disk_.Resize(cut_to_bytes_);
  disk_.Resize(memory_.size_bytes);
  for (uint64_t index : unsynced_pages_) {
    auto page = memory_.pages.find(index);
    if (page == memory_.pages.end()) {
      disk_.pages.erase(index);
    } else {
      disk_.pages[index] = page->second;
    }
  }
  LoseSync();
}

void SimInode::SyncRange(uint64_t offset, uint64_t size_bytes) {
  CHECK(cut_to_bytes_ == UINT64_MAX);
  disk_.Resize(std::max(disk_.size_bytes, offset + size_bytes));
  while (size_bytes > 0) {
    const size_t start = offset % kPageBytes;
    const size_t count = std::min<uint64_t>(size_bytes, kPageBytes - start);
    const absl::string_view page = memory_.PageOrZeros(offset / kPageBytes);
    std::copy_n(page.begin() + start, count,
                disk_.WritablePage(offset / kPageBytes).begin() + start);
    offset += count;
    size_bytes -= count;
  }
}

void SimInode::LoseSync() {
  unsynced_pages_.clear();
  size_unsynced_ = false;
  cut_to_bytes_ = UINT64_MAX;
}

void SimInode::Crash(CrashMode mode, Random& random) {
  if (cut_to_bytes_ < disk_.size_bytes) CrashCut(mode, random);
  cut_to_bytes_ = UINT64_MAX;
  for (uint64_t index : std::exchange(unsynced_pages_, {})) CrashPage(index, mode, random);
  if (std::exchange(size_unsynced_, false)) CrashSize(mode, random);
  // A kept page behind a lost size is not part of the file.
  const uint64_t size_bytes = disk_.size_bytes;
  disk_.size_bytes = UINT64_MAX;
  disk_.Resize(size_bytes);
  memory_ = disk_;
  reserved_pages_ = std::min(reserved_pages_, PagesFor(size_bytes));
}

// A cut is done or not; if not, then neither is what was written behind it later.
void SimInode::CrashCut(CrashMode mode, Random& random) {
  const bool kept =
      mode == CrashMode::kKeepAll || (mode != CrashMode::kDropAll && DrawOneIn(random, 2));
  if (kept) {
    disk_.Resize(cut_to_bytes_);
    return;
  }
  unsynced_pages_.erase(unsynced_pages_.lower_bound(cut_to_bytes_ / kPageBytes),
                        unsynced_pages_.end());
  size_unsynced_ = false;
}

void SimInode::CrashPage(uint64_t index, CrashMode mode, Random& random) {
  const std::string before(disk_.PageOrZeros(index));
  std::string after(memory_.PageOrZeros(index));
  switch (mode) {
    case CrashMode::kKeepAll:
      break;
    case CrashMode::kDropAll:
      return;
    case CrashMode::kMixed:
      if (DrawOneIn(random, 2)) return;
      break;
    case CrashMode::kTorn:
      switch (DrawBelow(random, 5)) {
        case 0:
          return;
        case 1:
          TearAtByte(before, after, random);
          break;
        case 2:
          TearBetweenSectors(before, after, random);
          break;
        case 3:
          Garble(before, after, random);
          break;
        default:
          break;
      }
      break;
  }
  disk_.WritablePage(index) = std::move(after);
}

void SimInode::CrashSize(CrashMode mode, Random& random) {
  const uint64_t before = disk_.size_bytes;
  const uint64_t after = memory_.size_bytes;
  switch (mode) {
    case CrashMode::kKeepAll:
      disk_.size_bytes = after;
      return;
    case CrashMode::kDropAll:
      return;
    case CrashMode::kMixed:
      if (DrawOneIn(random, 2)) disk_.size_bytes = after;
      return;
    case CrashMode::kTorn:  // all, part or nothing of the way
      const uint64_t choice = DrawBelow(random, 3);
      if (choice == 0 || after < before) return;
      disk_.size_bytes = choice == 1 ? after : before + DrawBelow(random, after - before + 1);
      return;
  }
}

void SimInode::FlipBit(uint64_t offset, int bit) {
  CHECK(offset < memory_.size_bytes && bit >= 0 && bit < 8);
  for (Image* image : {&memory_, &disk_}) {
    if (offset >= image->size_bytes) continue;
    char& byte = image->WritablePage(offset / kPageBytes)[offset % kPageBytes];
    byte = static_cast<char>(byte ^ (1 << bit));
  }
}

std::string SimInode::DurableBytes() const { return disk_.Read(0, disk_.size_bytes); }

std::shared_ptr<SimInode> SimInode::CloneDurable() const {
  auto clone = std::make_shared<SimInode>();
  clone->memory_ = disk_;
  clone->disk_ = disk_;
  clone->reserved_pages_ = std::min(reserved_pages_, PagesFor(disk_.size_bytes));
  return clone;
}

}  // namespace tidemark::sim
