// The seam between the sequencer and whoever keeps blocks: an ordered log of opaque blocks, durable
// on a quorum.
//
// Hides disks, peers and elections. SingleVoterLog is the log of one node; Raft, or a log service
// with conditional appends, can stand here too.
// Thread-safe, but appends come from one sequence. Callbacks of Append, Read and Trim run on the
// executor that the implementation was given; ConfirmLeadership may call inline.
//
// Invariants:
//  1. Committed blocks never change, and have dense positions.
//  2. Append's callback says OK only when a quorum's disks have the block and all before it (R1).
//  3. ConfirmLeadership says OK only if nobody else could have committed anything between the call
//     and the callback.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "src/journal/log_storage.h"

namespace tidemark::journal {

class ReplicatedLog {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;
  using ReadDone = absl::AnyInvocable<void(absl::StatusOr<std::vector<StoredBlock>>)>;

  struct Member {
    uint64_t id = 0;
    bool is_voter = true;
  };

  virtual ~ReplicatedLog() = default;

  // The term in which this node leads.
  virtual Term term() const = 0;
  virtual std::vector<Member> Members() const = 0;

  // Errors as LogStorage::Append's; Unavailable also when leadership was lost.
  virtual void Append(std::shared_ptr<const LogBlock> block, Done done) = 0;
  // Committed blocks, as LogStorage::Read.
  virtual void Read(Position from, size_t size_bytes, ReadDone done) = 0;
  virtual void ConfirmLeadership(Done done) = 0;
  // Entries at or before `up_to` may go; `state` stands for everything up to `state_position`,
  // which is committed and not before `up_to`. The callback gets the first position left.
  struct TrimRequest {
    Position up_to;
    Position state_position;
    std::string state;
  };
  virtual void Trim(TrimRequest request,
                    absl::AnyInvocable<void(absl::StatusOr<Position>)> done) = 0;
  // Others found no space on the disk that the log lies on: it gives up what it keeps for later.
  virtual void GiveSpaceBack() {}
  // No appends come any more, or not for a while.
  virtual void Settle() {}
};

}  // namespace tidemark::journal
