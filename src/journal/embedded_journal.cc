#include "src/journal/embedded_journal.h"

#include <utility>

#include "src/base/check.h"
#include "src/journal/journal_node.h"
#include "src/journal/sequencer_replay.h"

namespace tidemark::journal {

absl::StatusOr<std::unique_ptr<EmbeddedJournal>> EmbeddedJournal::Open(
    EmbeddedJournalOptions options) {
  CHECK(options.file_system != nullptr && options.clock != nullptr && options.random != nullptr);
  CHECK(options.executor != nullptr && options.runner != nullptr);
  auto stats = std::make_unique<JournalStats>();
  SingleVoterLog::Options log_options;
  log_options.directory = options.directory;
  log_options.owner = options.owner;
  log_options.segment_bytes = options.segment_bytes;
  log_options.file_system = options.file_system;
  log_options.clock = options.clock;
  log_options.random = options.random;
  log_options.executor = options.executor;
  log_options.runner = options.runner;
  log_options.side_runner = options.side_runner;
  log_options.stats = &stats->log;
  log_options.unsafe_no_sync = options.unsafe_no_sync;
  log_options.writes_directly = options.writes_directly;
  log_options.kept_segments_max = options.kept_segments_max;
  log_options.observe_write = std::move(options.observe_write);
  log_options.observe_sync = std::move(options.observe_sync);
  Sequencer sequencer(options.limits.sequencer);
  auto log = SingleVoterLog::Open(std::move(log_options),
                                  ReplayInto(&sequencer, options.limits.sequencer));
  if (!log.ok()) return log.status();
  Position first = (*log)->first();
  const uint64_t store_id = (*log)->store_id();
  History history = (*log)->history();
  auto node = std::make_shared<JournalNode>(options.limits, *options.executor, std::move(stats));
  node->Start(*std::move(log), std::move(sequencer), first);
  return std::unique_ptr<EmbeddedJournal>(
      new EmbeddedJournal(std::move(node), store_id, std::move(history)));
}

EmbeddedJournal::~EmbeddedJournal() { node_->Close(); }

uint64_t EmbeddedJournal::payload_bytes_max() const { return node_->payload_bytes_max(); }

void EmbeddedJournal::Append(Record record, AppendCallback done) {
  node_->Append(EntryKind::kData, std::move(record), std::move(done));
}

absl::StatusOr<std::unique_ptr<Subscription>> EmbeddedJournal::Subscribe(
    Position from, std::vector<PartitionId> partitions, BatchCallback deliver) {
  return node_->Subscribe(from, std::move(partitions), std::move(deliver));
}

void EmbeddedJournal::ConfirmTail(TailCallback done) { node_->ConfirmTail(std::move(done)); }

void EmbeddedJournal::Claim(PartitionId partition, OriginId origin, ClaimCallback done) {
  Record record;
  record.partitions.push_back({partition, Epoch(0)});
  record.origin = origin;
  node_->Append(EntryKind::kClaim, std::move(record),
                [done = std::move(done)](absl::StatusOr<Placed> placed) mutable {
                  if (!placed.ok()) return done(placed.status());
                  done(Epoch(placed->position.value()));
                });
}

void EmbeddedJournal::Trim(Position position) { node_->Trim(position); }

void EmbeddedJournal::GiveSpaceBack() { node_->GiveSpaceBack(); }

Tail EmbeddedJournal::KnownTail() const { return node_->KnownTail(); }
Position EmbeddedJournal::KnownFirst() const { return node_->KnownFirst(); }

void EmbeddedJournal::Stop() { node_->Stop(); }

const JournalStats& EmbeddedJournal::stats() const { return node_->stats(); }

}  // namespace tidemark::journal
