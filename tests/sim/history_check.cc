#include "tests/sim/history_check.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"

namespace tidemark::sim {
namespace {

bool Same(const google::protobuf::Message& a, const google::protobuf::Message& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

std::string Describe(const Operation& operation) {
  std::string request =
      std::visit([](const auto& r) { return r.GetTypeName() + " " + r.ShortDebugString(); },
                 operation.request);
  return absl::StrCat("client ", operation.client, " ", absl::FormatDuration(operation.called),
                      "..", absl::FormatDuration(operation.returned), " ", request, " -> ",
                      operation.status.ToString(), " @", operation.revision);
}

class HistoryChecker {
 public:
  HistoryChecker(const std::vector<Operation>& operations, const Truth& truth)
      : operations_(operations), truth_(truth), model_(truth.model()) {}

  std::vector<std::string> Run() {
    for (const Operation& operation : operations_) CheckOne(operation);
    SettleUnknown();
    CheckRealTime();
    return std::move(problems_);
  }

 private:
  void Problem(const Operation& operation, const std::string& what) {
    problems_.push_back(absl::StrCat(what, ": ", Describe(operation)));
  }

  void CheckOne(const Operation& operation) {
    if (operation.unknown()) {
      if (IsWrite(operation)) unknown_.push_back(&operation);
      return;
    }
    if (!operation.status.ok()) {
      CheckRefusal(operation);
      return;
    }
    if (operation.revision > model_.revision()) {
      Problem(operation, "answered at a revision that never was");
      return;
    }
    if (const auto* range = std::get_if<etcdserverpb::RangeRequest>(&operation.request)) {
      if (!Same(model_.Answer(*range, operation.revision),
                std::get<etcdserverpb::RangeResponse>(operation.response))) {
        Problem(operation,
                absl::StrCat(
                    "wrong read, expected ",
                    model_.Answer(*range, operation.revision).ShortDebugString(), " got ",
                    std::get<etcdserverpb::RangeResponse>(operation.response).ShortDebugString()));
      }
    } else if (const auto* put = std::get_if<etcdserverpb::PutRequest>(&operation.request)) {
      CheckWrite(
          operation, [&](int64_t at) { return model_.Evaluate(*put, at); },
          [](const Model::Written& w) -> auto& { return w.put; });
    } else if (const auto* removed =
                   std::get_if<etcdserverpb::DeleteRangeRequest>(&operation.request)) {
      CheckWrite(
          operation, [&](int64_t at) { return model_.Evaluate(*removed, at); },
          [](const Model::Written& w) -> auto& { return w.removed; });
    } else if (const auto* txn = std::get_if<etcdserverpb::TxnRequest>(&operation.request)) {
      CheckWrite(
          operation, [&](int64_t at) { return model_.Evaluate(*txn, at); },
          [](const Model::Written& w) -> auto& { return w.txn; });
    }
  }

  static bool IsWrite(const Operation& operation) {
    return !std::holds_alternative<etcdserverpb::RangeRequest>(operation.request) &&
           !std::holds_alternative<etcdserverpb::LeaseKeepAliveRequest>(operation.request);
  }

  // Either it took effect as revision R, or it changed nothing as of R.
  template <typename Evaluate, typename Select>
  void CheckWrite(const Operation& operation, Evaluate evaluate, Select select) {
    const int64_t revision = operation.revision;
    using Response = std::decay_t<decltype(select(evaluate(revision)))>;
    const auto& response = std::get<Response>(operation.response);
    if (revision >= 2 && claimed_.count(revision) == 0) {
      const Model::Written as_change = evaluate(revision - 1);
      if (!as_change.changes.empty() && as_change.changes == model_.ChangesAt(revision) &&
          Same(select(as_change), response)) {
        claimed_[revision] = &operation;
        return;
      }
    }
    const Model::Written without = evaluate(revision);
    if (without.changes.empty() && Same(select(without), response)) return;
    Problem(operation, absl::StrCat("no state explains the answer ", response.ShortDebugString()));
  }

  void CheckRefusal(const Operation& operation) {
    const absl::StatusCode code = operation.status.code();
    if (code == absl::StatusCode::kOutOfRange) return;  // revisions: CheckCompacted in real time
    if (code == absl::StatusCode::kResourceExhausted) return;
    if (code == absl::StatusCode::kNotFound) {
      CheckLeaseRefusal(operation);
      return;
    }
    if (code == absl::StatusCode::kUnknown) return;  // too many requests
    Problem(operation, "unexpected refusal");
  }

  // A lease may be missing only if it was never granted for sure, or its end is in the journal.
  void CheckLeaseRefusal(const Operation& operation) {
    int64_t lease = 0;
    if (const auto* put = std::get_if<etcdserverpb::PutRequest>(&operation.request)) {
      lease = put->lease();
    } else if (const auto* revoke =
                   std::get_if<etcdserverpb::LeaseRevokeRequest>(&operation.request)) {
      lease = revoke->id();
    } else {
      return;
    }
    if (truth_.revoked_leases().count(lease) != 0) return;
    for (const Operation& other : operations_) {
      const auto* grant = std::get_if<etcdserverpb::LeaseGrantRequest>(&other.request);
      if (grant != nullptr && grant->id() == lease && other.answered() && other.status.ok() &&
          other.returned < operation.called) {
        Problem(operation, "a lease that was granted and never revoked is missing");
      }
    }
  }

  // Revisions that no answered write claims belong to writes of unknown outcome or to leases.
  void SettleUnknown() {
    std::set<const Operation*> used;
    for (int64_t revision = 2; revision <= model_.revision(); ++revision) {
      if (claimed_.count(revision) != 0 || truth_.revocations().count(revision) != 0) continue;
      bool found = false;
      for (const Operation* operation : unknown_) {
        if (used.count(operation) != 0 || !Explains(*operation, revision)) continue;
        used.insert(operation);
        claimed_[revision] = operation;
        found = true;
        break;
      }
      if (!found) {
        problems_.push_back(absl::StrCat("nobody wrote revision ", revision, " (key ",
                                         model_.ChangesAt(revision)[0].key, " value ",
                                         model_.ChangesAt(revision)[0].value, ")"));
      }
    }
  }

  bool Explains(const Operation& operation, int64_t revision) const {
    const int64_t before = revision - 1;
    const auto& changes = model_.ChangesAt(revision);
    if (const auto* put = std::get_if<etcdserverpb::PutRequest>(&operation.request)) {
      return model_.Evaluate(*put, before).changes == changes;
    }
    if (const auto* removed = std::get_if<etcdserverpb::DeleteRangeRequest>(&operation.request)) {
      return model_.Evaluate(*removed, before).changes == changes;
    }
    if (const auto* txn = std::get_if<etcdserverpb::TxnRequest>(&operation.request)) {
      return model_.Evaluate(*txn, before).changes == changes;
    }
    return false;
  }

  // An operation that returned before another was called has the lower revision (equal only if the
  // later one changed nothing). Also bounds compaction refusals.
  void CheckRealTime() {
    std::map<const Operation*, int64_t> wrote;
    for (const auto& [revision, operation] : claimed_) wrote[operation] = revision;
    std::vector<const Operation*> by_call;
    std::vector<const Operation*> by_return;
    for (const Operation& operation : operations_) {
      by_call.push_back(&operation);
      if (!operation.unknown() && operation.status.ok() && operation.revision > 0) {
        by_return.push_back(&operation);
      }
    }
    std::sort(by_call.begin(), by_call.end(),
              [](auto* a, auto* b) { return a->called < b->called; });
    std::sort(by_return.begin(), by_return.end(),
              [](auto* a, auto* b) { return a->returned < b->returned; });
    int64_t seen = 1;
    size_t next = 0;
    for (const Operation* operation : by_call) {
      while (next < by_return.size() && by_return[next]->returned < operation->called) {
        seen = std::max(seen, by_return[next++]->revision);
      }
      auto written = wrote.find(operation);
      if (written != wrote.end() && written->second <= seen) {
        Problem(*operation, absl::StrCat("wrote revision ", written->second, " although ", seen,
                                         " was seen before"));
      } else if (!operation->unknown() && operation->status.ok() && operation->revision > 0 &&
                 operation->revision < seen) {
        Problem(*operation, absl::StrCat("stale: revision ", seen, " was seen before"));
      }
    }
    CheckCompacted();
  }

  // A read at an old revision is refused only if a compaction above it had been called, and is
  // served only if none above it had been acknowledged.
  void CheckCompacted() {
    for (const Operation& read : operations_) {
      const auto* range = std::get_if<etcdserverpb::RangeRequest>(&read.request);
      if (range == nullptr || range->revision() <= 0 || read.unknown()) continue;
      bool may_refuse = false;
      bool must_refuse = false;
      for (const Operation& other : operations_) {
        const auto* compaction = std::get_if<etcdserverpb::CompactionRequest>(&other.request);
        if (compaction == nullptr || compaction->revision() <= range->revision()) continue;
        if (other.called < read.returned) may_refuse = true;
        if (!other.unknown() && other.status.ok() && other.returned < read.called) {
          must_refuse = true;
        }
      }
      const bool refused = read.status.code() == absl::StatusCode::kOutOfRange &&
                           read.status.message().find("compacted") != absl::string_view::npos;
      if (refused && !may_refuse) Problem(read, "refused as compacted without a compaction");
      if (read.status.ok() && must_refuse) Problem(read, "served below a compaction");
    }
  }

  const std::vector<Operation>& operations_;
  const Truth& truth_;
  const Model& model_;
  std::map<int64_t, const Operation*> claimed_;
  std::vector<const Operation*> unknown_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> CheckHistory(const std::vector<Operation>& operations,
                                      const Truth& truth) {
  return HistoryChecker(operations, truth).Run();
}

}  // namespace tidemark::sim
