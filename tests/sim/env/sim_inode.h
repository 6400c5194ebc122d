// One file of a simulated disk: its bytes as the program wrote them and as the disk has them.
//
// Hides pages: absent ones are zeros and cost nothing, and copies share pages until written.
// Bound to the simulator's one thread.
//
// Invariants:
//  1. A page that is not unsynced is the same in memory and on the disk, unless a sync failed.
//  2. disk_ has no bytes behind its size.
//  3. Bytes equal in memory and on the disk are unchanged by Crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "src/base/file_system.h"
#include "src/base/random.h"

namespace tidemark::sim {

inline constexpr size_t kPageBytes = 4096;

// What happens to unsynced bytes.
enum class CrashMode {
  kKeepAll,
  kDropAll,
  kMixed,  // each page kept or lost
  kTorn,   // each page kept, lost, torn or garbage
};

class SimInode {
 public:
  uint64_t size_bytes() const { return memory_.size_bytes; }
  uint64_t allocated_bytes() const;

  std::string Read(uint64_t offset, size_t size) const;
  // Allocates at most `free_bytes` for pages that the file does not have yet; false when that was
  // not enough, with the bytes that fitted written.
  bool Write(uint64_t offset, absl::string_view bytes, uint64_t free_bytes);
  bool Preallocate(uint64_t size_bytes, uint64_t free_bytes);
  void Truncate(uint64_t size_bytes);
  void Sync();
  // Makes these bytes durable, and the size where it has to reach behind them.
  void SyncRange(uint64_t offset, uint64_t size_bytes);
  void LoseSync();  // a failed sync: clean pages that never reached the disk

  void Crash(CrashMode mode, Random& random);
  void FlipBit(uint64_t offset, int bit);  // REQUIRES: offset < size_bytes()

  std::string DurableBytes() const;
  std::shared_ptr<SimInode> CloneDurable() const;

 private:
  using Page = std::shared_ptr<std::string>;
  struct Image {
    uint64_t size_bytes = 0;
    std::map<uint64_t, Page> pages;

    absl::string_view PageOrZeros(uint64_t index) const;
    std::string& WritablePage(uint64_t index);
    std::string Read(uint64_t offset, size_t size) const;
    void Resize(uint64_t new_size_bytes);
  };

  void CrashCut(CrashMode mode, Random& random);
  void CrashPage(uint64_t index, CrashMode mode, Random& random);
  void CrashSize(CrashMode mode, Random& random);

  Image memory_;
  Image disk_;
  std::set<uint64_t> unsynced_pages_;
  bool size_unsynced_ = false;
  uint64_t cut_to_bytes_ = UINT64_MAX;  // the shortest the file was since the last sync
  uint64_t reserved_pages_ = 0;         // by Preallocate
};

}  // namespace tidemark::sim
