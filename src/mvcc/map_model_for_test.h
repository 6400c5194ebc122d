// etcd's multi-version semantics on std::map, as plainly as possible: what the store is held to.
//
// Compaction removes at once what the contract (2.8) says may be removed, so the store must answer
// alike however far its own removal has got.
#pragma once

#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "src/mvcc/revision_key.h"

namespace tidemark::mvcc {

struct ModelVersion {
  RevisionKey revision;
  std::string key;
  bool tombstone = false;
  std::string value;
  int64_t create = 0;
  int64_t version = 0;
  int64_t lease = 0;

  friend bool operator==(const ModelVersion&, const ModelVersion&) = default;
  friend std::ostream& operator<<(std::ostream& out, const ModelVersion& v) {
    return out << v.revision.main << "." << v.revision.sub << (v.tombstone ? " -" : " +") << v.key
               << " create " << v.create << " version " << v.version << " lease " << v.lease << " "
               << v.value.size() << " bytes";
  }
};

class MapModel {
 public:
  using Versions = std::map<RevisionKey, ModelVersion>;

  void Put(RevisionKey revision, const std::string& key, std::string value, int64_t lease) {
    const ModelVersion* old = At(key, INT64_MAX);
    ModelVersion v{revision, key, false, std::move(value), revision.main.value(), 1, lease};
    if (old != nullptr) {
      v.create = old->create;
      v.version = old->version + 1;
    }
    Store(std::move(v));
  }
  void Delete(RevisionKey revision, const std::string& key) {
    Store(ModelVersion{revision, key, true, "", 0, 0, 0});
  }

  // The version that a read of the key at revision `at` finds.
  const ModelVersion* At(const std::string& key, int64_t at) const {
    const ModelVersion* newest = Newest(key, at);
    return newest == nullptr || newest->tombstone ? nullptr : newest;
  }
  const ModelVersion* Previous(const ModelVersion& change) const {
    // A put that creates the key has none, even if the same entry deleted the key before.
    if (!change.tombstone && change.create == change.revision.main.value()) return nullptr;
    const int64_t before = change.revision.main.value() - 1;
    return before < compact ? nullptr : At(change.key, before);
  }

  void Compact(int64_t revision) {
    compact = revision;
    for (auto it = changes.begin(); it != changes.end() && it->first.main.value() <= revision;) {
      const ModelVersion change = it->second;
      const bool newest = Newest(change.key, revision)->revision == change.revision;
      if (newest && (!change.tombstone || change.revision.main.value() == revision)) {
        ++it;
        continue;
      }
      dropped_.push_back(change);
      it = changes.erase(it);
    }
    // Only now, since Newest needs them while it decides.
    for (const ModelVersion& change : dropped_) {
      keys[change.key].erase(change.revision);
      if (keys[change.key].empty()) keys.erase(change.key);
    }
    dropped_.clear();
  }

  // Contract 5.3, walk and skip rules, literally.
  std::vector<ModelVersion> HashInputs(int64_t at, int64_t compacted) const {
    std::map<RevisionKey, bool> keep;
    for (const auto& [key, versions] : keys) {
      if (const ModelVersion* alive = At(key, at)) keep[alive->revision] = true;
    }
    std::vector<ModelVersion> out;
    for (const auto& [revision, change] : changes) {
      const int64_t main = revision.main.value();
      if (main > at) continue;
      if (main <= compacted && !keep.empty() && !keep.contains(revision)) continue;
      if (change.tombstone && main == compacted) continue;
      out.push_back(change);
    }
    return out;
  }

  std::map<std::string, Versions> keys;
  Versions changes;
  int64_t compact = -1;

 private:
  const ModelVersion* Newest(const std::string& key, int64_t at) const {
    auto it = keys.find(key);
    if (it == keys.end()) return nullptr;
    auto above = it->second.upper_bound({Revision(at), INT64_MAX});
    return above == it->second.begin() ? nullptr : &std::prev(above)->second;
  }
  void Store(ModelVersion v) {
    changes.emplace(v.revision, v);
    const RevisionKey revision = v.revision;
    std::string key = v.key;
    keys[std::move(key)].emplace(revision, std::move(v));
  }

  std::vector<ModelVersion> dropped_;
};

}  // namespace tidemark::mvcc
