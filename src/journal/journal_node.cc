#include "src/journal/journal_node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::journal {
namespace {

// What a waiting record costs beside its payload.
constexpr uint64_t kPendingOverheadBytes = 256;

absl::Status StoppedError() { return absl::UnavailableError("the journal is shutting down"); }

class NodeSubscription : public Subscription {
 public:
  NodeSubscription(std::shared_ptr<JournalNode> node, std::shared_ptr<Subscriber> subscriber)
      : node_(std::move(node)), subscriber_(std::move(subscriber)) {}
  ~NodeSubscription() override {
    subscriber_->Close();
    node_->Serve();
  }
  void Acknowledge(Position position) override {
    if (subscriber_->Acknowledge(position)) node_->Serve();
  }

 private:
  const std::shared_ptr<JournalNode> node_;
  const std::shared_ptr<Subscriber> subscriber_;
};

}  // namespace

JournalNode::JournalNode(JournalLimits limits, Executor& executor,
                         std::unique_ptr<JournalStats> stats)
    : limits_(limits), executor_(executor), stats_(std::move(stats)) {}

void JournalNode::Start(std::unique_ptr<ReplicatedLog> log, Sequencer sequencer, Position first) {
  MutexLock step_lock(&step_mutex_);
  sequencer.CheckInvariants();
  log_ = std::move(log);
  sequencer_ = std::move(sequencer);
  // Raw: delivery_ belongs to this object.
  delivery_ = std::make_unique<Delivery>(
      limits_.delivery, sequencer_.tail(),
      [this](Position from, size_t size_bytes) { StartRead(from, size_bytes); });
  MutexLock lock(&mutex_);
  first_ = first;
  tail_ = sequencer_.tail();
}

void JournalNode::Stop() {
  std::vector<Pending> waiting;
  {
    MutexLock lock(&mutex_);
    if (is_stopped_) return;
    is_stopped_ = true;
    waiting = std::move(mailbox_);
    mailbox_.clear();
    mailbox_bytes_ = 0;
  }
  executor_.Post([node = shared_from_this(), waiting = std::move(waiting)]() mutable {
    std::vector<Answer> answers;
    {
      MutexLock step_lock(&node->step_mutex_);
      answers = std::move(node->answers_);
      node->answers_.clear();
    }
    for (Answer& answer : answers) answer.done(StoppedError());
    for (Pending& pending : waiting) pending.done(StoppedError());
    MutexLock step_lock(&node->step_mutex_);
    if (node->log_ != nullptr) node->log_->Settle();
  });
}

void JournalNode::Close() {
  std::vector<Pending> dropped;
  std::vector<Answer> dropped_answers;
  MutexLock step_lock(&step_mutex_);
  {
    MutexLock lock(&mutex_);
    is_stopped_ = true;
    dropped.swap(mailbox_);
    attaching_.clear();
  }
  dropped_answers.swap(answers_);
  delivery_.reset();
  log_.reset();
}

bool JournalNode::IsStopped() const {
  MutexLock lock(&mutex_);
  return is_stopped_;
}

void JournalNode::GiveSpaceBack() {
  executor_.Post([node = shared_from_this()] {
    MutexLock step_lock(&node->step_mutex_);
    if (node->log_ != nullptr) node->log_->GiveSpaceBack();
  });
}

void JournalNode::PostStep() {
  if (step_is_posted_ || is_stopped_) return;
  step_is_posted_ = true;
  executor_.Post([node = shared_from_this()] {
    MutexLock step_lock(&node->step_mutex_);
    node->Step();
  });
}

void JournalNode::Refuse(AppendCallback done, absl::Status why) {
  stats_->appends_refused.fetch_add(1, std::memory_order_relaxed);
  executor_.Post([done = std::move(done), why = std::move(why)]() mutable { done(why); });
}

void JournalNode::Append(EntryKind kind, Record record, AppendCallback done) {
  uint64_t payload_bytes = record.payload.size();
  if (payload_bytes > limits_.payload_bytes_max) {
    return Refuse(std::move(done), absl::InvalidArgumentError(absl::StrCat(
                                       "payload of ", payload_bytes, " bytes is larger than ",
                                       limits_.payload_bytes_max)));
  }
  uint64_t bytes = payload_bytes + kPendingOverheadBytes;
  absl::Status refused;
  {
    MutexLock lock(&mutex_);
    bool is_full = mailbox_.size() >= limits_.mailbox_records_max ||
                   (!mailbox_.empty() && mailbox_bytes_ + bytes > limits_.mailbox_bytes_max);
    if (is_stopped_) {
      refused = StoppedError();
    } else if (is_full) {
      refused = absl::DeadlineExceededError("too many appends are waiting for the journal");
    } else {
      mailbox_bytes_ += bytes;
      mailbox_.push_back({kind, std::move(record), std::move(done)});
      PostStep();
      return;
    }
  }
  Refuse(std::move(done), std::move(refused));
}

absl::StatusOr<std::unique_ptr<Subscription>> JournalNode::Subscribe(
    Position from, std::vector<PartitionId> partitions, BatchCallback deliver) {
  auto subscriber = std::make_shared<Subscriber>(
      from, std::move(partitions), limits_.unacknowledged_bytes_max, std::move(deliver));
  MutexLock lock(&mutex_);
  if (is_stopped_) return StoppedError();
  if (from < first_ || from <= trim_wanted_) {
    return absl::OutOfRangeError(absl::StrCat("position ", from.value(),
                                              " was trimmed; the first is ",
                                              std::max(first_, trim_wanted_.Next()).value()));
  }
  if (from > tail_.position.Next()) {
    return absl::InvalidArgumentError(
        absl::StrCat("position ", from.value(), " is after the newest, ", tail_.position.value()));
  }
  attaching_.push_back(subscriber);
  PostStep();
  return std::make_unique<NodeSubscription>(shared_from_this(), std::move(subscriber));
}

void JournalNode::ConfirmTail(TailCallback done) {
  // Asked first, read afterwards: the tail is at least what was committed when the question came.
  log_->ConfirmLeadership(
      [node = shared_from_this(), done = std::move(done)](absl::Status confirmed) mutable {
        if (confirmed.ok() && node->IsStopped()) confirmed = StoppedError();
        if (!confirmed.ok()) return done(confirmed);
        done(node->KnownTail());
      });
}

void JournalNode::Trim(Position position) {
  MutexLock lock(&mutex_);
  position = std::min(position, tail_.position);
  if (position <= trim_wanted_) return;
  trim_wanted_ = position;
  PostStep();
}

Tail JournalNode::KnownTail() const {
  MutexLock lock(&mutex_);
  return tail_;
}

Position JournalNode::KnownFirst() const {
  MutexLock lock(&mutex_);
  return std::max(first_, trim_wanted_.Next());
}

void JournalNode::Serve() {
  MutexLock lock(&mutex_);
  serve_is_wanted_ = true;
  PostStep();
}

JournalNode::Waiting JournalNode::TakeWaiting() {
  MutexLock lock(&mutex_);
  Waiting waiting;
  step_is_posted_ = false;
  if (is_stopped_) return waiting;
  waiting.attaching.swap(attaching_);
  waiting.serve = std::exchange(serve_is_wanted_, false);
  if (!is_busy_) waiting.appends = TakeAppends();
  return waiting;
}

// Everything that fits into a block, at least one.
std::vector<JournalNode::Pending> JournalNode::TakeAppends() {
  std::vector<Pending> taken;
  if (mailbox_bytes_ <= limits_.block_bytes_max) {
    taken.swap(mailbox_);
    mailbox_bytes_ = 0;
    return taken;
  }
  uint64_t bytes = 0;
  size_t count = 0;
  for (const Pending& pending : mailbox_) {
    uint64_t next_bytes = pending.record.payload.size() + kPendingOverheadBytes;
    if (count > 0 && bytes + next_bytes > limits_.block_bytes_max) break;
    bytes += next_bytes;
    ++count;
  }
  auto end = mailbox_.begin() + static_cast<ptrdiff_t>(count);
  taken.assign(std::make_move_iterator(mailbox_.begin()), std::make_move_iterator(end));
  mailbox_.erase(mailbox_.begin(), end);
  mailbox_bytes_ -= bytes;
  return taken;
}

void JournalNode::Step() {
  if (log_ == nullptr) return;
  Waiting waiting = TakeWaiting();
  for (std::shared_ptr<Subscriber>& subscriber : waiting.attaching) {
    delivery_->Attach(std::move(subscriber));
  }
  if (waiting.serve) delivery_->ServeAll();
  StartTrim();
  if (!waiting.appends.empty()) OrderAppends(std::move(waiting.appends));
}

void JournalNode::OrderAppends(std::vector<Pending> taken) {
  CHECK(!is_busy_ && answers_.empty());
  std::shared_ptr<BlockInProgress> block = MakeBlock(std::move(taken));
  if (block == nullptr) {
    RunAnswers();
    MutexLock lock(&mutex_);
    if (!mailbox_.empty()) PostStep();
    return;
  }
  is_busy_ = true;
  std::shared_ptr<const LogBlock> log_block(block, &block->log_block);
  log_->Append(std::move(log_block),
               [node = shared_from_this(), block = std::move(block)](absl::Status status) mutable {
                 MutexLock step_lock(&node->step_mutex_);
                 if (node->log_ == nullptr) return;
                 node->FinishBlock(std::move(block), status);
                 node->Step();
               });
}

// nullptr when there is nothing to write: only refusals and repeats.
std::shared_ptr<JournalNode::BlockInProgress> JournalNode::MakeBlock(std::vector<Pending> taken) {
  auto block = std::make_shared<BlockInProgress>();
  std::vector<Entry>& entries = block->entries.entries;
  entries.reserve(taken.size());
  block->payloads.reserve(taken.size());  // views into short strings must not move
  answers_.reserve(taken.size());
  sequencer_.OpenBlock(log_->term());
  for (Pending& pending : taken) {
    Entry entry;
    absl::StatusOr<Sequencer::Numbered> numbered =
        sequencer_.Add(pending.kind, pending.record, &entry);
    if (!numbered.ok()) {
      stats_->appends_refused.fetch_add(1, std::memory_order_relaxed);
      answers_.push_back({std::move(pending.done), numbered.status()});
      continue;
    }
    answers_.push_back({std::move(pending.done), numbered->placed});
    if (numbered->is_repeat) continue;
    block->payloads.push_back(std::move(pending.record.payload));
    entry.payload = block->payloads.back();
    block->entries.payload_bytes += entry.payload.size();
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) {
    sequencer_.AbandonBlock();
    return nullptr;
  }
  const Entry& last = entries.back();
  block->entries.tail = {last.position, last.revision, last.term};
  block->head = EncodeEntriesHead(sequencer_.tail().revision, entries);
  block->log_block = {
      entries.front().position, static_cast<uint32_t>(entries.size()), last.term, {}};
  block->log_block.body.reserve(entries.size() + 1);
  block->log_block.body.push_back(block->head);
  for (const std::string& payload : block->payloads) {
    if (!payload.empty()) block->log_block.body.push_back(payload);
  }
  return block;
}

void JournalNode::FinishBlock(std::shared_ptr<BlockInProgress> block, const absl::Status& status) {
  CHECK(is_busy_);
  is_busy_ = false;
  if (!status.ok()) {
    sequencer_.AbandonBlock();
    for (Answer& answer : answers_) {
      const bool is_old =
          answer.result.ok() && answer.result->position <= sequencer_.tail().position;
      if (!is_old) answer.result = status;  // what was committed before stays so
    }
    RunAnswers();
    return;
  }
  sequencer_.CommitBlock();
  const Tail& tail = block->entries.tail;
  CHECK(sequencer_.tail().position == tail.position && sequencer_.tail().revision == tail.revision);
  stats_->entries.fetch_add(block->entries.entries.size(), std::memory_order_relaxed);
  {
    MutexLock lock(&mutex_);
    CHECK(tail_.position < tail.position && tail_.revision <= tail.revision);
    tail_ = tail;
    stats_->mailbox_records.store(mailbox_.size(), std::memory_order_relaxed);
    stats_->mailbox_bytes.store(mailbox_bytes_, std::memory_order_relaxed);
  }
  delivery_->OnCommit(std::shared_ptr<const EntryBlock>(block, &block->entries));
  FAIL_POINT("journal.before_ack");
  RunAnswers();
}

void JournalNode::RunAnswers() {
  std::vector<Answer> answers;
  answers.swap(answers_);
  for (Answer& answer : answers) answer.done(std::move(answer.result));
}

// Waits for subscribers that still need what would go.
void JournalNode::StartTrim() {
  Position wanted;
  {
    MutexLock lock(&mutex_);
    wanted = trim_wanted_;
    // The step that attaches them looks again.
    for (const auto& subscriber : attaching_) {
      if (subscriber->next() <= wanted) return;
    }
  }
  if (wanted <= trim_started_ || !delivery_->IsPast(wanted)) return;
  CHECK(wanted <= sequencer_.tail().position);
  const Position before = std::exchange(trim_started_, wanted);
  log_->Trim({wanted, sequencer_.tail().position, sequencer_.Save()},
             [node = shared_from_this(), before, wanted](absl::StatusOr<Position> first) {
               if (absl::IsUnavailable(first.status())) return;  // closed
               if (absl::IsResourceExhausted(first.status())) {
                 node->TrimAgain(before, wanted);
                 return;
               }
               if (!first.ok()) Fatal(absl::StrCat("journal: ", first.status().message()));
               MutexLock lock(&node->mutex_);
               CHECK(*first >= node->first_);
               node->first_ = *first;
             });
}

// There was no space for the state, or to remove a file: the next step tries again, and each append
// makes one, also one that is refused.
void JournalNode::TrimAgain(Position before, Position wanted) {
  MutexLock step_lock(&step_mutex_);
  if (trim_started_ == wanted) trim_started_ = before;
}

void JournalNode::StartRead(Position from, size_t size_bytes) {
  log_->Read(from, size_bytes,
             [node = shared_from_this()](absl::StatusOr<std::vector<StoredBlock>> blocks) {
               MutexLock step_lock(&node->step_mutex_);
               if (node->log_ != nullptr) node->FinishRead(std::move(blocks));
             });
}

// A single copy that cannot be read back is the end: there is no peer to ask.
void JournalNode::FinishRead(absl::StatusOr<std::vector<StoredBlock>> blocks) {
  if (!blocks.ok()) Fatal(absl::StrCat("journal: ", blocks.status().message()));
  std::vector<std::shared_ptr<const EntryBlock>> decoded;
  for (StoredBlock& block : *blocks) {
    absl::StatusOr<EntryBlock> entries = DecodeEntries({block.first, block.entry_count, block.term},
                                                       block.body.view(), block.body.owner());
    if (!entries.ok()) Fatal(absl::StrCat("journal: ", entries.status().message()));
    // Durable, but the step that publishes it is still on its way: it comes from there.
    if (entries->tail.position > sequencer_.tail().position) break;
    decoded.push_back(std::make_shared<const EntryBlock>(*std::move(entries)));
  }
  delivery_->OnRead(std::move(decoded));
  StartTrim();
}

}  // namespace tidemark::journal
