// The journal of a single process: the sequencer over a log of one voter.
//
// Hides the mailbox, the group commit, and delivery. Thread-safe.
//
// Appends from any thread wait in a mailbox; the journal's sequence takes everything waiting, makes
// one block, and has it written and synced; what arrives meanwhile becomes the next block. After
// the sync the tail is published, subscribers are served and callbacks run, in this order.
//
// Stop() answers what waits with Unavailable (it may or may not have happened), and has the log
// settled; the executor does both. Destruction, from
// any thread but not from a callback of this journal, waits for work that runs and drops callbacks
// that did not run. The executor and the runners must live on until they ran or dropped their
// tasks, the side runner until `runner` did.
//
// Invariants:
//  1. R1: no answer and no delivery before the block's sync.
//  2. The mailbox is bounded in records and bytes, a block in bytes (one record may exceed it).
//  3. One block is on its way at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/file_system.h"
#include "src/base/random.h"
#include "src/journal/delivery.h"
#include "src/journal/journal.h"
#include "src/journal/sequencer.h"
#include "src/journal/single_voter_log.h"

namespace tidemark::journal {

struct JournalLimits {
  uint64_t payload_bytes_max = uint64_t{256} << 20;
  uint64_t mailbox_bytes_max = uint64_t{256} << 20;
  size_t mailbox_records_max = 65536;
  uint64_t block_bytes_max = uint64_t{8} << 20;
  uint64_t unacknowledged_bytes_max = uint64_t{64} << 20;
  Delivery::Limits delivery;
  Sequencer::Limits sequencer;
};

struct EmbeddedJournalOptions {
  std::string directory;
  // For whom the directory is made; another's is refused (DataDirectory::ClaimFor). Empty: anybody.
  std::string owner;
  uint64_t segment_bytes = kSegmentBytesDefault;
  JournalLimits limits;
  FileSystem* file_system = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  Executor* executor = nullptr;      // the journal's sequence
  BlockingRunner* runner = nullptr;  // disk work: inline, or a thread of its own
  // What no append should wait for: removing trimmed segments takes many times as long as a block's
  // way to the disk, and filling the next one ahead of need some. `runner` if there is none.
  BlockingRunner* side_runner = nullptr;
  // --unsafe-no-fsync: no file and no directory is synced, so R1 holds for a crash of the process
  // only; after one of the machine anything may be missing or refused as damaged.
  bool unsafe_no_sync = false;
  bool writes_directly = true;  // past the page cache, where the file system can
  size_t kept_segments_max = kKeptSegmentsMaxDefault;
  // How long each write and each sync took. Any thread; may be empty.
  std::function<void(absl::Duration)> observe_write;
  std::function<void(absl::Duration)> observe_sync;
};

// Figures that any thread may read.
struct JournalStats {
  LogStats log;
  std::atomic<uint64_t> entries{0};
  std::atomic<uint64_t> appends_refused{0};  // fenced, holes, too large, mailbox full
  std::atomic<uint64_t> mailbox_records{0};
  std::atomic<uint64_t> mailbox_bytes{0};
};

class JournalNode;

class EmbeddedJournal : public Journal {
 public:
  // Blocking: reads the whole journal. Errors tell an operator what is wrong with which file.
  static absl::StatusOr<std::unique_ptr<EmbeddedJournal>> Open(EmbeddedJournalOptions options);
  ~EmbeddedJournal() override;

  uint64_t payload_bytes_max() const override;
  void Append(Record record, AppendCallback done) override;
  absl::StatusOr<std::unique_ptr<Subscription>> Subscribe(Position from,
                                                          std::vector<PartitionId> partitions,
                                                          BatchCallback deliver) override;
  void ConfirmTail(TailCallback done) override;
  void Claim(PartitionId partition, OriginId origin, ClaimCallback done) override;
  void Trim(Position position) override;
  void GiveSpaceBack() override;
  Tail KnownTail() const override;
  Position KnownFirst() const override;

  // Of the journal's directory, made with it: what belongs to this journal carries it.
  uint64_t store_id() const { return store_id_; }
  // With this start as the newest: what this process leaves in memory carries its id.
  const History& history() const { return history_; }
  void Stop();
  const JournalStats& stats() const;

 private:
  EmbeddedJournal(std::shared_ptr<JournalNode> node, uint64_t store_id, History history)
      : node_(std::move(node)), store_id_(store_id), history_(std::move(history)) {}

  const std::shared_ptr<JournalNode> node_;
  const uint64_t store_id_;
  const History history_;
};

}  // namespace tidemark::journal
