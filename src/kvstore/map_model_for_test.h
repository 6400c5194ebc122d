// A sequential etcd of a few hundred lines: what requests answer by contract 2, as text.
//
// Written from the contract, not from the code beside it. Keeps every version for ever.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/kv.pb.h"
#include "proto/rpc.pb.h"
#include "src/kvstore/results.h"

namespace tidemark::kvstore {

// --- Answers as text, fields in one order ---
inline std::string KvText(absl::string_view wire) {
  return absl::StrCat("{", absl::CHexEscape(wire), "}");
}
inline std::string Text(const RangeResult& r) {
  std::string out = absl::StrCat("range count=", r.count, " more=", r.more, " ");
  for (const RangeItem& item : r.items) out += KvText(item.wire.view());
  return out;
}
inline std::string Text(const PutResult& r) {
  return absl::StrCat("put ", r.prev_kv.has_value() ? KvText(r.prev_kv->view()) : "-");
}
inline std::string Text(const DeleteResult& r) {
  std::string out = absl::StrCat("delete ", r.deleted, " ");
  for (const SharedBytes& kv : r.prev_kvs) out += KvText(kv.view());
  return out;
}
inline std::string Text(const TxnResult& r);
inline std::string Text(const OpResult& r) {
  if (const auto* nested = std::get_if<std::unique_ptr<TxnResult>>(&r.result)) {
    return Text(**nested);
  }
  std::string out = absl::StrCat("@", r.header_revision.value(), " ");
  if (const auto* range = std::get_if<RangeResult>(&r.result)) out += Text(*range);
  if (const auto* put = std::get_if<PutResult>(&r.result)) out += Text(*put);
  if (const auto* del = std::get_if<DeleteResult>(&r.result)) out += Text(*del);
  return out;
}
inline std::string Text(const TxnResult& r) {
  std::string out = absl::StrCat("txn ", r.succeeded, "[");
  for (const OpResult& op : r.responses) absl::StrAppend(&out, Text(op), ";");
  return out + "]";
}

class MapModel {
 public:
  struct Answer {
    std::string text;  // or the error's message
    int64_t revision = 0;
    bool ok = true;
  };

  int64_t revision() const { return revision_; }
  int64_t compacted() const { return compacted_; }
  std::set<int64_t>& leases() { return leases_; }

  Answer Put(const etcdserverpb::PutRequest& r) {
    Begin();
    if (r.lease() != 0 && leases_.count(r.lease()) == 0) return Error(kLeaseMissing);
    std::string error, text = DoPut(r, &error);
    return error.empty() ? Commit(text) : Error(error);
  }
  Answer Delete(const etcdserverpb::DeleteRangeRequest& r) {
    Begin();
    return Commit(DoDelete(r));
  }
  // `compaction_blind`: its past reads were made before a compaction that was ordered earlier.
  Answer Txn(const etcdserverpb::TxnRequest& r, bool compaction_blind) {
    Begin();
    std::string error;
    Path path = Decide(r);
    CheckPath(r, path, compaction_blind, &error);
    if (!error.empty()) return Error(error);
    std::string text = Run(r, path, &error);
    return error.empty() ? Commit(text) : Error(error);
  }
  // A range at the present, or (header > 0) as it was when `header` was the newest revision.
  Answer Range(const etcdserverpb::RangeRequest& r, int64_t header) {
    Begin();
    Answer answer;
    answer.revision = header > 0 ? header : revision_;
    if (header == 0 && r.revision() > revision_) return Error(kFuture);
    if (header == 0 && r.revision() > 0 && r.revision() < compacted_) return Error(kCompacted);
    answer.text = RangeText(r, StateAt(r.revision() > 0 ? r.revision() : answer.revision));
    return answer;
  }
  Answer Revoke(int64_t lease) {
    Begin();
    for (auto it = state_.begin(); it != state_.end();) {
      if (it->second.lease() == lease) {
        history_[it->first].push_back({revision_ + 1, {}});
        changed_ = true;
        it = state_.erase(it);
      } else {
        ++it;
      }
    }
    leases_.erase(lease);
    return Commit("revoked");
  }
  void Compact(int64_t revision) { compacted_ = std::max(compacted_, revision); }

 private:
  using State = std::map<std::string, mvccpb::KeyValue>;
  struct Path {
    bool succeeded = false;
    std::vector<Path> nested;
  };
  static constexpr const char* kKeyMissing = "etcdserver: key not found";
  static constexpr const char* kLeaseMissing = "etcdserver: requested lease not found";
  static constexpr const char* kFuture =
      "etcdserver: mvcc: required revision is a future revision";
  static constexpr const char* kCompacted =
      "etcdserver: mvcc: required revision has been compacted";

  void Begin() {
    before_ = state_;
    changed_ = false;
    undo_.clear();
  }
  Answer Commit(std::string text) {
    if (changed_) ++revision_;
    return {std::move(text), revision_, true};
  }
  Answer Error(std::string text) {
    state_ = before_;
    for (const std::string& key : undo_) history_[key].pop_back();
    undo_.clear();
    changed_ = false;
    return {std::move(text), 0, false};
  }
  static bool InRange(const std::string& key, const std::string& begin, const std::string& end) {
    if (end.empty()) return key == begin;
    if (end == std::string(1, '\0')) return key >= begin;
    return key >= begin && key < end;
  }
  State StateAt(int64_t revision) const {
    State state;
    for (const auto& [key, versions] : history_) {
      auto it = std::upper_bound(versions.begin(), versions.end(), revision,
                                 [](int64_t r, const Version& v) { return r < v.revision; });
      if (it == versions.begin() || std::prev(it)->kv.key().empty()) continue;
      state[key] = std::prev(it)->kv;
    }
    return state;
  }

  std::string DoPut(const etcdserverpb::PutRequest& r, std::string* error) {
    auto it = state_.find(r.key());
    if ((r.ignore_value() || r.ignore_lease()) && it == state_.end()) {
      *error = kKeyMissing;
      return "";
    }
    std::string prev = "-";
    if (it != state_.end() && r.prev_kv()) prev = KvText(it->second.SerializeAsString());
    mvccpb::KeyValue kv;
    kv.set_key(r.key());
    kv.set_value(r.ignore_value() ? it->second.value() : r.value());
    kv.set_lease(r.ignore_lease() ? it->second.lease() : r.lease());
    kv.set_mod_revision(revision_ + 1);
    kv.set_create_revision(it != state_.end() ? it->second.create_revision() : revision_ + 1);
    kv.set_version(it != state_.end() ? it->second.version() + 1 : 1);
    Record(r.key(), kv);
    state_[r.key()] = kv;
    return absl::StrCat("put ", prev);
  }
  std::string DoDelete(const etcdserverpb::DeleteRangeRequest& r) {
    int deleted = 0;
    std::string kvs;
    for (auto it = state_.begin(); it != state_.end();) {
      if (!InRange(it->first, r.key(), r.range_end())) {
        ++it;
        continue;
      }
      ++deleted;
      if (r.prev_kv()) kvs += KvText(it->second.SerializeAsString());
      Record(it->first, {});
      it = state_.erase(it);
    }
    return absl::StrCat("delete ", deleted, " ", kvs);
  }
  void Record(const std::string& key, const mvccpb::KeyValue& kv) {
    history_[key].push_back({revision_ + 1, kv});
    undo_.push_back(key);
    changed_ = true;
  }

  static int Sign(int64_t a, int64_t b) { return a < b ? -1 : a > b; }
  static bool CompareOne(const etcdserverpb::Compare& c, const mvccpb::KeyValue& kv) {
    int order = 0;
    if (c.target() == 0) order = Sign(kv.version(), c.version());
    if (c.target() == 1) order = Sign(kv.create_revision(), c.create_revision());
    if (c.target() == 2) order = Sign(kv.mod_revision(), c.mod_revision());
    if (c.target() == 3) order = kv.value().compare(c.value());
    if (c.target() == 4) order = Sign(kv.lease(), c.lease());
    if (c.result() == 0) return order == 0;
    if (c.result() == 1) return order > 0;
    if (c.result() == 2) return order < 0;
    if (c.result() == 3) return order != 0;
    return true;
  }
  Path Decide(const etcdserverpb::TxnRequest& r) const {
    Path path;
    path.succeeded = true;
    for (const auto& c : r.compare()) {
      bool found = false, all = true;
      for (const auto& [key, kv] : state_) {
        if (!InRange(key, c.key(), c.range_end())) continue;
        found = true;
        all = all && CompareOne(c, kv);
      }
      if (!found) all = c.target() != 3 && CompareOne(c, mvccpb::KeyValue());
      path.succeeded = path.succeeded && all;
    }
    for (const auto& op : path.succeeded ? r.success() : r.failure()) {
      if (op.has_request_txn()) path.nested.push_back(Decide(op.request_txn()));
    }
    return path;
  }
  void CheckPath(const etcdserverpb::TxnRequest& r, const Path& path, bool compaction_blind,
                 std::string* error) const {
    size_t nested = 0;
    for (const auto& op : path.succeeded ? r.success() : r.failure()) {
      if (!error->empty()) return;
      if (op.has_request_txn()) {
        CheckPath(op.request_txn(), path.nested[nested++], compaction_blind, error);
      } else if (op.has_request_range() && op.request_range().revision() != 0) {
        if (op.request_range().revision() > revision_) *error = kFuture;
        if (op.request_range().revision() < compacted_ && !compaction_blind) *error = kCompacted;
      } else if (op.has_request_put()) {
        const auto& put = op.request_put();
        if ((put.ignore_value() || put.ignore_lease()) && state_.count(put.key()) == 0) {
          *error = kKeyMissing;
        }
        if (put.lease() != 0 && leases_.count(put.lease()) == 0) *error = kLeaseMissing;
      }
    }
  }
  std::string Run(const etcdserverpb::TxnRequest& r, const Path& path, std::string* error) {
    std::string out = absl::StrCat("txn ", path.succeeded, "[");
    size_t nested = 0;
    for (const auto& op : path.succeeded ? r.success() : r.failure()) {
      if (op.has_request_txn()) {
        out += Run(op.request_txn(), path.nested[nested++], error);
      } else {
        std::string text;
        if (op.has_request_put()) text = DoPut(op.request_put(), error);
        if (op.has_request_delete_range()) text = DoDelete(op.request_delete_range());
        if (op.has_request_range()) {
          const auto& range = op.request_range();
          text = RangeText(range, range.revision() > 0 ? StateAt(range.revision()) : state_);
        }
        absl::StrAppend(&out, "@", revision_ + (changed_ ? 1 : 0), " ", text);
      }
      out += ";";
    }
    return out + "]";
  }

  static std::string RangeText(const etcdserverpb::RangeRequest& r, const State& state) {
    std::vector<mvccpb::KeyValue> kvs;
    int64_t count = 0;
    const bool key_order = r.sort_order() == 0 || (r.sort_target() == 0 && r.sort_order() == 1);
    const bool filters = r.min_mod_revision() || r.max_mod_revision() ||
                         r.min_create_revision() || r.max_create_revision();
    for (const auto& [key, kv] : state) {
      if (!InRange(key, r.key(), r.range_end())) continue;
      ++count;
      if (r.count_only()) continue;
      if (r.max_mod_revision() && kv.mod_revision() > r.max_mod_revision()) continue;
      if (r.min_mod_revision() && kv.mod_revision() < r.min_mod_revision()) continue;
      if (r.max_create_revision() && kv.create_revision() > r.max_create_revision()) continue;
      if (r.min_create_revision() && kv.create_revision() < r.min_create_revision()) continue;
      // Key order takes the first limit + 1 before it sorts.
      if (key_order && !filters && r.limit() > 0 && int64_t(kvs.size()) > r.limit()) continue;
      kvs.push_back(kv);
    }
    if (r.sort_target() != 0 || r.sort_order() == 2) {
      const int sign = r.sort_order() == 2 ? -1 : 1;
      std::stable_sort(kvs.begin(), kvs.end(), [&](const auto& a, const auto& b) {
        int order = a.key().compare(b.key());
        if (r.sort_target() == 1) order = Sign(a.version(), b.version());
        if (r.sort_target() == 2) order = Sign(a.create_revision(), b.create_revision());
        if (r.sort_target() == 3) order = Sign(a.mod_revision(), b.mod_revision());
        if (r.sort_target() == 4) order = a.value().compare(b.value());
        return order * sign < 0;
      });
    }
    bool more = false;
    if (r.limit() > 0 && int64_t(kvs.size()) > r.limit()) {
      kvs.resize(r.limit());
      more = true;
    }
    std::string out = absl::StrCat("range count=", count, " more=", more, " ");
    for (mvccpb::KeyValue& kv : kvs) {
      if (r.keys_only()) {
        kv.clear_value();
        if (r.sort_target() != etcdserverpb::RangeRequest::VALUE) kv.clear_lease();
      }
      out += KvText(kv.SerializeAsString());
    }
    return out;
  }

  struct Version {
    int64_t revision;
    mvccpb::KeyValue kv;  // without key: deleted
  };
  State state_, before_;
  std::map<std::string, std::vector<Version>> history_;
  std::vector<std::string> undo_;
  std::set<int64_t> leases_;
  int64_t revision_ = 1;
  int64_t compacted_ = -1;
  bool changed_ = false;
};

}  // namespace tidemark::kvstore
