#include "src/partition/multi_read.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/etcd_errors.h"
#include "src/kvstore/range_reader.h"
#include "src/kvstore/txn_path.h"
#include "src/partition/txn_plan.h"

namespace tidemark::partition {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;
using etcdserverpb::TxnRequest;
using kvstore::Freshness;
using kvstore::RangeCount;
using kvstore::RangeResult;
using kvstore::Replica;
using kvstore::Reply;
using kvstore::TxnResult;

// How often a read starts again because compaction passed the revision it agreed on.
constexpr int kMaxTries = 16;

// Hands over the tail that all partitions read at: confirmed, or the newest known here (so that
// whoever was answered by this process finds its write).
void AgreeOnTail(Coordinator& coordinator, bool serializable,
                 absl::AnyInvocable<void(absl::StatusOr<journal::Tail>)> done) {
  if (serializable) return done(coordinator.KnownTail());
  coordinator.Barrier(std::move(done));
}

// Any partition may have applied the compaction, and the others not yet.
class Tries {
 public:
  bool ShouldRepeat(const absl::Status& status) {
    if (PLANTED_BUG("read_overtaken_by_compaction_is_refused")) return false;
    return kvstore::IsOvertaken(status) && ++count_ < kMaxTries;
  }
  static absl::Status ForClient(const absl::Status& status) {
    return kvstore::IsOvertaken(status) ? kvstore::ErrTimeout() : status;
  }

 private:
  int count_ = 0;
};

class MultiRange : public std::enable_shared_from_this<MultiRange> {
 public:
  MultiRange(Coordinator& coordinator, RangeRequest request, RangeCount count,
             ReplyCallback<RangeResult> done)
      : coordinator_(coordinator),
        request_(std::move(request)),
        count_(count),
        part_request_(kvstore::RangeForOnePartition(request_)),
        owners_(
            coordinator.parts().map().Owners(mvcc::FromEtcd(request_.key(), request_.range_end()))),
        done_(std::move(done)) {}

  void Start() {
    AgreeOnTail(coordinator_, request_.serializable(),
                [self = shared_from_this()](absl::StatusOr<journal::Tail> tail) {
                  if (!tail.ok()) return self->Finish(kvstore::ErrTimeout());
                  self->Read(*tail);
                });
  }

 private:
  using Answer = absl::StatusOr<Reply<RangeResult>>;

  void Read(journal::Tail tail) {
    AskAll<Answer>(
        coordinator_.parts(), owners_, coordinator_.home(),
        [self = shared_from_this(), tail](Replica& replica, size_t,
                                          absl::AnyInvocable<void(Answer)> answer) {
          const Freshness at_tail{Freshness::Kind::kAtTail, tail};
          if (self->count_ == RangeCount::kNone) {
            replica.RangePage(self->part_request_, at_tail, std::move(answer));
          } else {
            replica.Range(self->part_request_, at_tail, std::move(answer));
          }
        },
        [self = shared_from_this(), tail](std::vector<Answer> answers) {
          self->OnRead(tail, std::move(answers));
        });
  }

  void OnRead(const journal::Tail& tail, std::vector<Answer> answers) {
    std::vector<RangeResult> results;
    for (Answer& answer : answers) {
      if (!answer.ok()) {
        if (tries_.ShouldRepeat(answer.status())) return Start();
        return Finish(Tries::ForClient(answer.status()));
      }
      results.push_back(std::move(answer->result));
    }
    Finish(Reply<RangeResult>{tail.revision, kvstore::MergeRanges(std::move(results), request_)});
  }

  void Finish(Answer answer) {
    coordinator_.Leave();
    done_(std::move(answer));
  }

  Coordinator& coordinator_;
  const RangeRequest request_;
  const RangeCount count_;
  const RangeRequest part_request_;
  const std::vector<PartitionId> owners_;
  ReplyCallback<RangeResult> done_;
  Tries tries_;
};

class MultiReadTxn : public std::enable_shared_from_this<MultiReadTxn> {
 public:
  MultiReadTxn(Coordinator& coordinator, TxnRequest request, bool serializable,
               ReplyCallback<TxnResult> done)
      : coordinator_(coordinator),
        request_(std::move(request)),
        serializable_(serializable),
        plan_(coordinator.parts().map(), request_),
        done_(std::move(done)) {}

  void Start() {
    AgreeOnTail(coordinator_, serializable_,
                [self = shared_from_this()](absl::StatusOr<journal::Tail> tail) {
                  if (!tail.ok()) return self->Finish(kvstore::ErrTimeout());
                  self->tail_ = *tail;
                  self->next_compare_ = 0;
                  self->compares_hold_ = true;
                  self->JudgeCompares();
                });
  }

 private:
  using Answer = absl::StatusOr<Reply<TxnResult>>;

  void Ask(const std::vector<PartitionId>& partitions,
           std::function<TxnRequest(PartitionId)> question,
           absl::AnyInvocable<void(std::vector<Reply<TxnResult>>)> done) {
    AskAll<Answer>(
        coordinator_.parts(), partitions, coordinator_.home(),
        [question = std::move(question), tail = tail_](Replica& replica, size_t,
                                                       absl::AnyInvocable<void(Answer)> answer) {
          replica.ReadTxn(question(replica.partition()), Freshness{Freshness::Kind::kAtTail, tail},
                          std::move(answer));
        },
        [self = shared_from_this(), done = std::move(done)](std::vector<Answer> answers) mutable {
          std::vector<Reply<TxnResult>> replies;
          for (Answer& answer : answers) {
            if (!answer.ok()) return self->OnRefused(answer.status());
            replies.push_back(*std::move(answer));
          }
          done(std::move(replies));
        });
  }

  void OnRefused(const absl::Status& status) {
    if (tries_.ShouldRepeat(status)) return Start();
    Finish(Tries::ForClient(status));
  }

  // Each partition says whether the compare holds for its keys and how many it has: a range that is
  // empty everywhere compares like a missing key.
  void JudgeCompares() {
    if (!compares_hold_ || next_compare_ == request_.compare_size()) return ReadBranch();
    const Compare& compare = request_.compare(next_compare_++);
    TxnRequest question;
    *question.add_compare() = compare;
    RangeRequest count;
    count.set_key(compare.key());
    count.set_range_end(compare.range_end());
    count.set_count_only(true);
    *question.add_success()->mutable_request_range() = count;
    *question.add_failure()->mutable_request_range() = count;
    Ask(
        OwnersOf(coordinator_.parts().map(), compare), [question](PartitionId) { return question; },
        [self = shared_from_this(), &compare](std::vector<Reply<TxnResult>> replies) {
          bool exists = false;
          bool holds = true;
          for (const auto& reply : replies) {
            if (std::get<RangeResult>(reply.result.responses.at(0).result).count == 0) continue;
            exists = true;
            holds &= reply.result.succeeded;
          }
          self->compares_hold_ = exists ? holds : kvstore::CompareHoldsForMissing(compare);
          self->JudgeCompares();
        });
  }

  // A partition sees only its own ranges; of several refused ones the client hears of the first.
  absl::Status CheckPath() const {
    const Revision compacted = coordinator_.parts().system().store().compact_revision();
    if (compacted > tail_.revision) return kvstore::Overtaken();
    for (const kvstore::PlannedOp& op : path_.ops) {
      absl::Status status = kvstore::CheckRevisionInTxn(*op.range, tail_.revision, compacted);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  void ReadBranch() {
    path_ = kvstore::DecideTxnPath(request_, [this](const Compare&) { return compares_hold_; });
    if (absl::Status status = CheckPath(); !status.ok()) return OnRefused(status);
    parts_.clear();
    parts_.resize(path_.ops.size());
    questions_.clear();
    indexes_.clear();
    for (size_t i = 0; i < path_.ops.size(); ++i) {
      const auto owners = OwnersOf(coordinator_.parts().map(), path_.ops[i]);
      for (PartitionId id : owners) {
        *questions_[id].add_success()->mutable_request_range() =
            owners.size() > 1 ? kvstore::RangeForOnePartition(*path_.ops[i].range)
                              : *path_.ops[i].range;
        indexes_[id].push_back(i);
      }
    }
    std::vector<PartitionId> asked;
    for (const auto& [id, question] : questions_) asked.push_back(id);
    Ask(
        asked, [self = shared_from_this()](PartitionId id) { return self->questions_.at(id); },
        [self = shared_from_this(), asked](std::vector<Reply<TxnResult>> replies) {
          for (size_t p = 0; p < asked.size(); ++p) {
            const std::vector<size_t>& indexes = self->indexes_.at(asked[p]);
            for (size_t i = 0; i < indexes.size(); ++i) {
              self->parts_[indexes[i]].push_back(
                  std::get<RangeResult>(std::move(replies[p].result.responses.at(i).result)));
            }
          }
          self->Build();
        });
  }

  void Build() {
    std::vector<kvstore::OpResult> results;
    for (size_t i = 0; i < path_.ops.size(); ++i) {
      kvstore::OpResult result;
      result.header_revision = tail_.revision;
      result.result = parts_[i].size() == 1
                          ? std::move(parts_[i].front())
                          : kvstore::MergeRanges(std::move(parts_[i]), *path_.ops[i].range);
      results.push_back(std::move(result));
    }
    Finish(
        Reply<TxnResult>{tail_.revision, kvstore::BuildTxnResult(path_.shape, std::move(results))});
  }

  void Finish(Answer answer) {
    coordinator_.Leave();
    done_(std::move(answer));
  }

  Coordinator& coordinator_;
  const TxnRequest request_;
  const bool serializable_;
  const TxnPlan plan_;
  ReplyCallback<TxnResult> done_;
  Tries tries_;

  journal::Tail tail_;
  int next_compare_ = 0;
  bool compares_hold_ = true;
  kvstore::TxnPath path_;
  absl::btree_map<PartitionId, TxnRequest> questions_;
  absl::btree_map<PartitionId, std::vector<size_t>> indexes_;  // of the questions' ranges
  std::vector<std::vector<RangeResult>> parts_;                // by path index
};

}  // namespace

void RunMultiRange(Coordinator& coordinator, RangeRequest request, RangeCount count,
                   ReplyCallback<RangeResult> done) {
  std::make_shared<MultiRange>(coordinator, std::move(request), count, std::move(done))->Start();
}

void RunMultiReadTxn(Coordinator& coordinator, TxnRequest request, bool serializable,
                     ReplyCallback<TxnResult> done) {
  std::make_shared<MultiReadTxn>(coordinator, std::move(request), serializable, std::move(done))
      ->Start();
}

}  // namespace tidemark::partition
