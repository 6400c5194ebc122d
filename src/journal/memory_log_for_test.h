// LogStorage in memory, for tests: Crash() forgets what was not synced, faults are asked for.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "src/journal/log_storage.h"

namespace tidemark::journal {

class MemoryLog : public LogStorage {
 public:
  Position first() const override;
  Position last() const override;
  absl::Status Append(const LogBlock& block) override;
  void Sync() override;
  bool HasUnsynced() const override { return synced_count_ < blocks_.size(); }
  absl::StatusOr<std::vector<StoredBlock>> Read(Position from, size_t size_bytes) override;
  bool CanTrim(Position up_to) const override;
  Removal Trim(Position up_to) override;
  uint64_t size_bytes() const override { return size_bytes_; }

  // What a power failure leaves.
  void Crash();
  // The next appends fail with this until it is OkStatus again.
  void FailAppends(absl::Status status) { append_status_ = std::move(status); }

 private:
  std::deque<StoredBlock> blocks_;
  size_t synced_count_ = 0;
  Position trimmed_;  // the last position that is gone
  uint64_t size_bytes_ = 0;
  absl::Status append_status_;
};

}  // namespace tidemark::journal
