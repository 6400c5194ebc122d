// Checkpoints as plain values: what tests write, and expect to read back.
//
// For tests only. Stateless functions on values.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/random.h"
#include "src/kvstore/checkpoint/checkpoint_store.h"

namespace tidemark::kvstore {

struct CheckpointImage {
  struct Version {
    bool tombstone = false;
    std::string wire;
    friend bool operator==(const Version&, const Version&) = default;
  };

  CheckpointHeader header;
  std::map<mvcc::RevisionKey, Version> versions;

  friend bool operator==(const CheckpointImage&, const CheckpointImage&) = default;

  void Count() {
    header.records = static_cast<int64_t>(versions.size());
    header.record_bytes = 0;
    for (const auto& [key, version] : versions) header.record_bytes += version.wire.size();
  }
};

inline uint64_t Below(Random& random, uint64_t bound) { return random.Next() % bound; }

inline CheckpointImage EmptyImage(PartitionId partition) {
  CheckpointImage image;
  image.header.partition = partition;
  image.header.at = {Position(1), kEmptyStoreRevision, Term(1)};
  return image;
}

// The state some entries later: versions were added, some old ones compacted away. All of it
// follows from the random numbers, wires included.
inline CheckpointImage NextImage(Random& random, const CheckpointImage& from,
                                 uint64_t wire_bytes_max = 300) {
  CheckpointImage image = from;
  CheckpointHeader& header = image.header;
  std::erase_if(image.versions, [&](const auto&) { return Below(random, 4) == 0; });
  uint64_t mains = Below(random, 20);
  for (uint64_t i = 0; i < mains; ++i) {
    header.at.revision = header.at.revision.Next();
    uint64_t subs = Below(random, 4);  // 0: another partition's
    for (uint64_t sub = 0; sub < subs; ++sub) {
      CheckpointImage::Version version;
      version.tombstone = Below(random, 5) == 0;
      uint64_t size = Below(random, wire_bytes_max + 1);
      for (uint64_t at = 0; at < size; ++at)
        version.wire.push_back(static_cast<char>(random.Next()));
      image.versions[{header.at.revision, static_cast<int64_t>(sub)}] = std::move(version);
    }
  }
  header.at.position = Position(header.at.position.value() + mains + Below(random, 3));
  header.at.term = Term(header.at.term.value() + Below(random, 2));
  header.compact_revision = Revision(header.at.revision.value() / 2);
  header.state_hash = random.Next();
  header.node_state = absl::StrCat("state ", random.Next(), std::string(Below(random, 100), '\0'));
  image.Count();
  return image;
}

inline absl::Status AddAll(CheckpointWriter& writer, const CheckpointImage& image,
                           mvcc::RevisionKey after) {
  for (auto at = image.versions.upper_bound(after); at != image.versions.end(); ++at) {
    absl::Status status = writer.Add({at->first, at->second.tombstone, at->second.wire});
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

inline absl::Status WriteWhole(CheckpointStore& store, const CheckpointImage& image) {
  auto writer = store.BeginWhole(image.header.partition);
  if (!writer.ok()) return writer.status();
  absl::Status status = AddAll(**writer, image, {Revision(-1), -1});
  return status.ok() ? (*writer)->Commit(image.header) : status;
}

// REQUIRES: `base` is the newest in the store, `image` came from it by NextImage.
inline absl::Status WriteIncrement(CheckpointStore& store, const CheckpointImage& base,
                                   const CheckpointImage& image) {
  auto writer = store.BeginIncrement(image.header.partition, base.header.at.position);
  if (!writer.ok()) return writer.status();
  for (const auto& [key, version] : base.versions) {
    if (image.versions.contains(key)) continue;
    absl::Status status = (*writer)->Remove(key);
    if (!status.ok()) return status;
  }
  absl::Status status =
      AddAll(**writer, image, {base.header.at.revision, std::numeric_limits<int64_t>::max()});
  return status.ok() ? (*writer)->Commit(image.header) : status;
}

inline absl::StatusOr<CheckpointImage> ReadAll(CheckpointReader& reader) {
  CheckpointImage image;
  image.header = reader.header();
  while (true) {
    auto record = reader.Next();
    if (!record.ok()) return record.status();
    if (!record->has_value()) return image;
    CheckpointImage::Version version{(*record)->tombstone, std::string((*record)->wire)};
    CHECK(image.versions.emplace((*record)->revision, std::move(version)).second);
  }
}

inline absl::StatusOr<CheckpointImage> ReadAll(const CheckpointStore& store,
                                               PartitionId partition) {
  auto reader = store.Read(partition);
  if (!reader.ok()) return reader.status();
  return ReadAll(**reader);
}

}  // namespace tidemark::kvstore
