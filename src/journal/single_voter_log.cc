#include "src/journal/single_voter_log.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/base/unsynced_file_system.h"

namespace tidemark::journal {
namespace {

// Long enough to be rare while there is traffic, short enough for little to happen in it.
constexpr absl::Duration kPauseBeforeSettling = absl::Milliseconds(200);

absl::Status ClosedError() { return absl::UnavailableError("the journal is closed"); }

struct Opened {
  std::unique_ptr<DataDirectory> directory;
  std::unique_ptr<LogStorage> storage;
  Term term;
  History history;
};

// Before the term: what is written in that must be told from what another copy of the directory
// writes in its own.
absl::Status BeginInHistory(Random& random, const LogVisitor& visitor, Opened& opened) {
  const Tail tail = visitor.tail ? visitor.tail() : Tail();
  opened.history.Add({random.Next() | 1, opened.term, {tail.position, tail.revision}});
  return opened.directory->StoreHistory(opened.history);
}

absl::StatusOr<Opened> OpenAll(const SingleVoterLog::Options& options,
                               const SingleVoterLog::Visitor& visitor) {
  Opened opened;
  auto directory = DataDirectory::Open(*options.file_system, options.directory, *options.random);
  if (!directory.ok()) return directory.status();
  opened.directory = *std::move(directory);
  if (!options.owner.empty()) {
    absl::Status claimed = opened.directory->ClaimFor(options.owner);
    if (!claimed.ok()) return claimed;
  }
  LogSurvey survey;
  absl::Status surveyed =
      SurveyLog(*options.file_system, *options.clock, *opened.directory, visitor, &survey);
  if (!surveyed.ok()) return surveyed;

  SegmentedLog::Options log_options;
  log_options.segment_bytes = options.segment_bytes;
  log_options.recovery = survey.walk_options;
  log_options.fills_ahead = !options.unsafe_no_sync;
  log_options.writes_directly = options.writes_directly && !options.unsafe_no_sync;
  log_options.kept_segments_max = options.kept_segments_max;
  auto storage = SegmentedLog::Open(log_options, std::move(survey.walk));
  if (!storage.ok()) return storage.status();
  opened.storage = *std::move(storage);
  CHECK(opened.storage->first() <= survey.state_position.Next());
  opened.term = survey.stored_term.value_or(Term(0)).Next();
  if (!survey.history_damage.ok()) {
    TLOG(kWarn, "memory of former processes cannot be used",
         {{"reason", survey.history_damage.message()}});
  }
  opened.history = std::move(survey.history);
  if (absl::Status begun = BeginInHistory(*options.random, visitor, opened); !begun.ok()) {
    return begun;
  }
  absl::Status stored = opened.directory->StoreTerm(opened.term);
  if (!stored.ok()) return stored;
  return opened;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SingleVoterLog>> SingleVoterLog::Open(Options options,
                                                                     const Visitor& visitor) {
  CHECK(options.stats != nullptr && options.runner != nullptr && options.executor != nullptr);
  if (options.side_runner == nullptr) options.side_runner = options.runner;
  auto disk = std::make_shared<Disk>();
  if (options.unsafe_no_sync) {
    disk->unsynced = std::make_unique<UnsyncedFileSystem>(*options.file_system);
    options.file_system = disk->unsynced.get();
  }
  absl::StatusOr<Opened> opened = OpenAll(options, visitor);
  if (!opened.ok()) return opened.status();
  TLOG(kInfo, "opened journal",
       {{"dir", options.directory},
        {"first-position", opened->storage->first().value()},
        {"last-position", opened->storage->last().value()},
        {"term", opened->term.value()},
        {"size-bytes", opened->storage->size_bytes()}});
  options.stats->size_bytes.store(opened->storage->size_bytes(), std::memory_order_relaxed);
  Position first = opened->storage->first();
  uint64_t member_id = opened->directory->store().value();
  disk->options = std::move(options);
  {
    MutexLock directory_lock(&disk->directory_mutex);
    MutexLock lock(&disk->mutex);
    disk->directory = std::move(opened->directory);
    disk->storage = std::move(opened->storage);
    disk->synced = disk->storage->last();
  }
  return std::unique_ptr<SingleVoterLog>(new SingleVoterLog(
      std::move(disk), opened->term, std::move(opened->history), first, member_id));
}

SingleVoterLog::~SingleVoterLog() {
  {
    MutexLock lock(&disk_->mutex);
    disk_->storage.reset();
  }
  MutexLock directory_lock(&disk_->directory_mutex);
  disk_->directory.reset();  // the lock last
}

std::vector<ReplicatedLog::Member> SingleVoterLog::Members() const {
  return {Member{member_id_, true}};
}

absl::Status SingleVoterLog::Disk::WriteBlock(const LogBlock& block) {
  absl::Duration start = options.clock->Monotonic();
  absl::Status appended = storage->Append(block);
  LogStats& stats = *options.stats;
  if (!appended.ok()) {
    stats.appends_refused.fetch_add(1, std::memory_order_relaxed);
    return appended;
  }
  uint64_t bytes = 0;
  for (absl::string_view run : block.body) bytes += run.size();
  stats.blocks_written.fetch_add(1, std::memory_order_relaxed);
  stats.bytes_written.fetch_add(bytes, std::memory_order_relaxed);
  stats.size_bytes.store(storage->size_bytes(), std::memory_order_relaxed);
  const absl::Duration took = options.clock->Monotonic() - start;
  if (options.observe_write) options.observe_write(took);
  if (!storage->HasUnsynced()) CountSync(took);
  return absl::OkStatus();
}

void SingleVoterLog::Disk::SyncBlock() {
  const bool takes_time = storage->HasUnsynced();
  const absl::Duration start = options.clock->Monotonic();
  storage->Sync();
  synced = storage->last();
  if (takes_time && !options.unsafe_no_sync) CountSync(options.clock->Monotonic() - start);
}

void SingleVoterLog::Disk::CountSync(absl::Duration took) {
  options.stats->syncs.fetch_add(1, std::memory_order_relaxed);
  if (options.observe_sync) options.observe_sync(took);
}

// One task each for the write and the sync: the simulator may stop the node between them.
void SingleVoterLog::Append(std::shared_ptr<const LogBlock> block, Done done) {
  disk_->options.runner->Run([disk = disk_, block = std::move(block),
                              done = std::move(done)]() mutable {
    Executor* executor = disk->options.executor;
    absl::Status written = ClosedError();
    {
      MutexLock lock(&disk->mutex);
      if (!disk->IsClosed()) written = disk->WriteBlock(*block);
    }
    if (!written.ok() || PLANTED_BUG("journal_ack_before_sync")) {
      executor->Post([done = std::exchange(done, nullptr), written]() mutable { done(written); });
      if (!written.ok()) return;
    }
    disk->options.runner->Run([disk, block = std::move(block), done = std::move(done)]() mutable {
      LogStorage::Preparation preparation;
      bool asks_for_pause = false;
      const Position last = block->last();
      {
        MutexLock lock(&disk->mutex);
        if (disk->IsClosed()) return;
        disk->SyncBlock();
        preparation = disk->storage->Prepare();
        asks_for_pause = !disk->storage->IsSettled() && !std::exchange(disk->awaits_pause, true);
      }
      if (done) {
        disk->options.executor->Post(
            [done = std::move(done)]() mutable { done(absl::OkStatus()); });
      }
      if (asks_for_pause) SettleLater(disk, last);
      if (preparation) RunAside(std::move(disk), std::move(preparation));
    });
  });
}

void SingleVoterLog::SettleLater(std::shared_ptr<Disk> disk, Position last) {
  Executor* executor = disk->options.executor;
  const absl::Duration when = disk->options.clock->Monotonic() + kPauseBeforeSettling;
  executor->PostAt(when, [disk = std::move(disk), last]() mutable {
    BlockingRunner* runner = disk->options.runner;
    runner->Run([disk = std::move(disk), last]() mutable {
      const std::optional<Position> newer = disk->SettleUnlessNewer(last);
      if (newer.has_value()) SettleLater(std::move(disk), *newer);
    });
  });
}

std::optional<Position> SingleVoterLog::Disk::SettleUnlessNewer(Position last) {
  MutexLock lock(&mutex);
  if (IsClosed()) return std::nullopt;
  if (storage->last() != last) return storage->last();
  awaits_pause = false;
  storage->Settle();
  return std::nullopt;
}

void SingleVoterLog::RunAside(std::shared_ptr<Disk> disk, LogStorage::Preparation preparation) {
  BlockingRunner* runner = disk->options.side_runner;
  runner->Run([disk = std::move(disk), preparation = std::move(preparation)]() mutable {
    {
      MutexLock directory_lock(&disk->directory_mutex);
      if (disk->directory == nullptr) return;
      preparation();
    }
    if (disk->options.side_runner == disk->options.runner) return;  // one for each block
    LogStorage::Preparation next = disk->NextPreparation();
    if (next) RunAside(std::move(disk), std::move(next));
  });
}

LogStorage::Preparation SingleVoterLog::Disk::NextPreparation() {
  MutexLock lock(&mutex);
  return IsClosed() ? nullptr : storage->Prepare();
}

void SingleVoterLog::GiveSpaceBack() {
  disk_->options.side_runner->Run([disk = disk_] {
    MutexLock directory_lock(&disk->directory_mutex);
    LogStorage::Preparation give_back;
    {
      MutexLock lock(&disk->mutex);
      if (!disk->IsClosed()) give_back = disk->storage->GiveSpaceBack();
    }
    if (give_back) give_back();
  });
}

void SingleVoterLog::Settle() {
  disk_->options.runner->Run([disk = disk_] {
    MutexLock lock(&disk->mutex);
    if (!disk->IsClosed()) disk->storage->Settle();
  });
}

absl::StatusOr<std::vector<StoredBlock>> SingleVoterLog::Disk::Read(Position from,
                                                                    size_t size_bytes) {
  absl::StatusOr<std::vector<StoredBlock>> blocks = storage->Read(from, size_bytes);
  if (!blocks.ok()) return blocks;
  while (!blocks->empty() && blocks->back().last() > synced) blocks->pop_back();
  return blocks;
}

void SingleVoterLog::Read(Position from, size_t size_bytes, ReadDone done) {
  disk_->options.runner->Run([disk = disk_, from, size_bytes, done = std::move(done)]() mutable {
    absl::StatusOr<std::vector<StoredBlock>> blocks = ClosedError();
    {
      MutexLock lock(&disk->mutex);
      if (!disk->IsClosed()) blocks = disk->Read(from, size_bytes);
    }
    disk->options.executor->Post([done = std::move(done), blocks = std::move(blocks)]() mutable {
      done(std::move(blocks));
    });
  });
}

// A quorum of one is always confirmed: the directory's lock keeps every other writer out.
void SingleVoterLog::ConfirmLeadership(Done done) { done(absl::OkStatus()); }

absl::StatusOr<Position> SingleVoterLog::Disk::Trim(const TrimRequest& request) {
  CHECK(request.up_to <= request.state_position);
  bool shortens = false;
  {
    MutexLock lock(&mutex);
    if (IsClosed()) return ClosedError();
    CHECK(request.state_position <= storage->last());
    shortens = storage->CanTrim(request.up_to);
  }
  if (shortens && !PLANTED_BUG("journal_trim_without_state")) {
    absl::Status stored = directory->StoreSnapshot({request.state_position, request.state});
    if (!stored.ok()) return stored;
  }
  FAIL_POINT("journal.before_trim");
  LogStorage::Removal removal;
  Position first;
  {
    MutexLock lock(&mutex);
    if (IsClosed()) return ClosedError();
    // An append may have begun a segment meanwhile: nothing goes whose state was not stored.
    const bool may = shortens || PLANTED_BUG("journal_trim_looks_twice");
    removal = storage->Trim(may ? request.up_to : Position(0));
    first = storage->first();
    options.stats->size_bytes.store(storage->size_bytes(), std::memory_order_relaxed);
  }
  // Also of what an earlier one could not take away.
  if (absl::Status removed = removal(); !removed.ok()) return removed;
  if (!shortens) return first;
  TLOG(kInfo, "trimmed journal", {{"dir", options.directory}, {"first-position", first.value()}});
  return first;
}

void SingleVoterLog::Trim(TrimRequest request,
                          absl::AnyInvocable<void(absl::StatusOr<Position>)> done) {
  disk_->options.side_runner->Run(
      [disk = disk_, request = std::move(request), done = std::move(done)]() mutable {
        absl::StatusOr<Position> first = ClosedError();
        {
          MutexLock directory_lock(&disk->directory_mutex);
          if (disk->directory != nullptr) first = disk->Trim(request);
        }
        disk->options.executor->Post([done = std::move(done), first = std::move(first)]() mutable {
          done(std::move(first));
        });
      });
}

}  // namespace tidemark::journal
