#include "src/kvstore/applier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/range_reader.h"

namespace tidemark::kvstore {

Applier::Outcome Applier::Apply(const journal::Entry& entry, PlannedAnswer* answer) {
  FAIL_POINT("kvstore.before_apply");
  absl::StatusOr<DecodedEffects> effects = DecodeEffects(entry.payload, to_.partition);
  if (!effects.ok()) {
    Fatal(absl::StrCat("journal entry ", entry.position.value(), ": ", effects.status().message()));
  }
  Outcome outcome;
  if (entry.changes_keys && entry.revision <= known_ &&
      !PLANTED_BUG("kvstore_adopted_applied_twice")) {
    CHECK(answer == nullptr);
    effects->changes.clear();
  }
  const bool changes_here = !effects->changes.empty();
  if (changes_here) {
    CHECK_MSG(entry.changes_keys, absl::StrCat("entry ", entry.position.value()));
    to_.store.BeginEntry(entry.revision);
  }
  if (answer != nullptr && !answer->steps.empty()) {
    ApplyAnswering(entry, effects->changes, answer, &outcome);
  } else {
    for (const KeyChangeView& change : effects->changes) ApplyPlain(change, &outcome);
  }
  if (changes_here) {
    absl::Span<const mvcc::Event> events = to_.store.CommitEntry();
    to_.watches.Notify(entry.revision, events);
    to_.store.ForgetEvents();
  } else if (entry.revision > known_) {
    to_.store.AdvanceTo(entry.revision);
  }
  for (const NodeEffect& effect : effects->node_effects) {
    ApplyNodeEffect(effect, entry.position, &outcome);
  }
  FAIL_POINT("kvstore.after_apply");
  return outcome;
}

Revision Applier::RevisionBefore(const journal::Entry& entry) const {
  return entry.changes_keys ? entry.revision.Previous() : entry.revision;
}

void Applier::ApplyPlain(const KeyChangeView& change, Outcome* outcome) {
  if (change.is_delete) {
    ApplyDelete(change, outcome);
  } else {
    ApplyPut(change, outcome);
  }
}

mvcc::KeyValue Applier::ApplyDelete(const KeyChangeView& change, Outcome* outcome) {
  mvcc::KeyValue deleted = to_.store.Delete(change.sub, change.key);
  to_.leases.Move(change.key, deleted.lease, LeaseId(0));
  ++outcome->deletes;
  return deleted;
}

std::optional<mvcc::KeyValue> Applier::ApplyPut(const KeyChangeView& change, Outcome* outcome) {
  std::optional<mvcc::KeyValue> replaced =
      to_.store.Put(change.sub, change.key, change.value, change.lease);
  to_.leases.Move(change.key, replaced.has_value() ? replaced->lease : LeaseId(0), change.lease);
  ++outcome->puts;
  outcome->put_bytes += static_cast<int64_t>(change.key.size() + change.value.size());
  return replaced;
}

void Applier::ApplyAnswering(const journal::Entry& entry, absl::Span<const KeyChangeView> changes,
                             PlannedAnswer* answer, Outcome* outcome) {
  outcome->results.reserve(answer->steps.size());
  // As far as this partition sees; the coordinator knows of changes in others.
  bool changed_before = false;
  size_t next_change = 0;
  for (PlannedAnswer::Step& step : answer->steps) {
    CHECK(step.change_count <= changes.size() - next_change);
    const auto own_changes = changes.subspan(next_change, step.change_count);
    next_change += step.change_count;
    OpResult result = RunStep(&step, own_changes, outcome);
    if (!own_changes.empty()) changed_before = true;
    result.header_revision = changed_before ? entry.revision : RevisionBefore(entry);
    outcome->results.push_back(std::move(result));
  }
  CHECK(next_change == changes.size());
}

OpResult Applier::RunStep(PlannedAnswer::Step* step, absl::Span<const KeyChangeView> changes,
                          Outcome* outcome) {
  OpResult result;
  if (step->op.put != nullptr) {
    CHECK(changes.size() == 1 && !changes[0].is_delete && changes[0].key == step->op.put->key());
    std::optional<mvcc::KeyValue> replaced = ApplyPut(changes[0], outcome);
    PutResult put;
    if (step->op.put->prev_kv() && replaced.has_value()) put.prev_kv = std::move(replaced->wire);
    result.result = std::move(put);
  } else if (step->op.delete_range != nullptr) {
    DeleteResult deletion;
    deletion.deleted = static_cast<int64_t>(changes.size());
    for (const KeyChangeView& change : changes) {
      CHECK(change.is_delete);
      mvcc::KeyValue deleted = ApplyDelete(change, outcome);
      if (step->op.delete_range->prev_kv()) deletion.prev_kvs.push_back(std::move(deleted.wire));
    }
    result.result = std::move(deletion);
  } else {
    CHECK(step->op.range != nullptr && changes.empty());
    result.result = step->past_read.has_value()
                        ? *std::move(step->past_read)
                        : ReadRange(to_.store, *step->op.range, mvcc::kLatest);
  }
  return result;
}

void Applier::ApplyNodeEffect(const NodeEffect& effect, Position position, Outcome* outcome) {
  ApplyObserver* observer = to_.observer;
  switch (effect.kind) {
    case NodeEffect::Kind::kLeaseGrant:
      // Two grants of one id may both have been judged before the first was applied.
      if (to_.leases.Exists(effect.lease)) break;
      to_.leases.Grant(effect.lease, effect.ttl_seconds);
      if (observer != nullptr) observer->OnLeaseGranted(effect.lease, effect.ttl_seconds);
      break;
    case NodeEffect::Kind::kLeaseRevoke:
      if (!to_.leases.Exists(effect.lease)) break;
      to_.leases.Revoke(effect.lease);
      if (observer != nullptr) observer->OnLeaseRevoked(effect.lease);
      break;
    case NodeEffect::Kind::kLeaseRemaining:
      for (const LeaseRemainingEffect& lease : effect.remaining) {
        to_.leases.SetRemaining(lease.id, lease.remaining_seconds);
        if (observer != nullptr && to_.leases.Exists(lease.id)) {
          observer->OnLeaseRemaining(lease.id, lease.remaining_seconds);
        }
      }
      break;
    case NodeEffect::Kind::kCompaction:
      // Two compactions may have been ordered the other way round than they were judged.
      if (effect.compaction <= to_.store.compact_revision()) break;
      to_.store.Compact(effect.compaction, position);
      outcome->compacted = true;
      break;
    case NodeEffect::Kind::kAlarm:
      if (effect.alarm.raised) {
        to_.alarms.emplace(effect.alarm.member_id, effect.alarm.type);
      } else {
        to_.alarms.erase({effect.alarm.member_id, effect.alarm.type});
      }
      if (observer != nullptr) {
        observer->OnAlarm(effect.alarm.member_id, effect.alarm.type, effect.alarm.raised);
      }
      break;
  }
}

}  // namespace tidemark::kvstore
