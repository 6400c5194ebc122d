#include "src/partition/map_entry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tidemark::partition {

absl::Status MapEntry::Look(const journal::Batch& batch) {
  for (const journal::Entry& entry : batch.entries) {
    if (entry.kind != journal::EntryKind::kData) continue;
    const bool is_map = std::any_of(entry.partitions.begin(), entry.partitions.end(),
                                    [](const auto& p) { return p.partition == kPartition; });
    if (!is_map && seen_) return absl::OkStatus();
    if (!is_map) {
      return absl::FailedPreconditionError("the journal holds data but no partition map");
    }
    if (entry.payload != text_) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the data was written under another partition map: \"", absl::CHexEscape(entry.payload),
          "\", not \"", text_, "\"; start with the former map, or with an empty data directory"));
    }
    seen_ = true;
  }
  return absl::OkStatus();
}

void MapEntry::Write(journal::Journal& journal, Executor& home, OriginId origin,
                     absl::AnyInvocable<void(absl::Status)> done) {
  journal.Claim(
      kPartition, origin,
      [this, &journal, &home, origin, done = std::move(done)](absl::StatusOr<Epoch> epoch) mutable {
        if (!epoch.ok()) {
          return home.Post([done = std::move(done), status = epoch.status()]() mutable {
            done(std::move(status));
          });
        }
        journal::Record record;
        record.partitions = {{kPartition, *epoch}};
        record.origin = origin;
        record.origin_number = 1;
        record.payload = text_;
        journal.Append(std::move(record), [&home, done = std::move(done)](
                                              absl::StatusOr<journal::Placed> placed) mutable {
          home.Post([done = std::move(done), status = placed.status()]() mutable {
            done(std::move(status));
          });
        });
      });
}

}  // namespace tidemark::partition
