#include "src/mvcc/change_index.h"

#include <algorithm>

#include "src/base/check.h"

namespace tidemark::mvcc {

size_t ChangeIndex::Chunk::LowerBound(RevisionKey revision) const {
  size_t low = 0;
  size_t high = entries.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (RevisionAt(middle) < revision) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

size_t ChangeIndex::ChunkFor(RevisionKey revision) const {
  auto reaches = [](const std::unique_ptr<Chunk>& chunk, RevisionKey wanted) {
    return chunk->RevisionAt(chunk->entries.size() - 1) < wanted;
  };
  auto it = std::lower_bound(chunks_.begin(), chunks_.end(), revision, reaches);
  return static_cast<size_t>(it - chunks_.begin());
}

void ChangeIndex::Append(RevisionKey revision, Location location) {
  CHECK(!location.null() && revision.sub <= UINT32_MAX);
  if (chunks_.empty() || chunks_.back()->entries.size() >= kChunkCapacity ||
      !chunks_.back()->Reaches(revision.main)) {
    auto chunk = std::make_unique<Chunk>();
    chunk->base_main = revision.main.value();
    // A small store should stay small; from the second chunk on, growing would only copy.
    if (!chunks_.empty()) chunk->entries.reserve(kChunkCapacity);
    chunks_.push_back(std::move(chunk));
  } else {
    CHECK(chunks_.back()->RevisionAt(chunks_.back()->entries.size() - 1) < revision);
  }
  Chunk& chunk = *chunks_.back();
  chunk.entries.push_back({static_cast<uint32_t>(revision.main.value() - chunk.base_main),
                           static_cast<uint32_t>(revision.sub), location});
  ++size_;
}

ChangeIndex::Entry& ChangeIndex::Find(RevisionKey revision, size_t* chunk_index) {
  *chunk_index = ChunkFor(revision);
  CHECK(*chunk_index < chunks_.size());
  Chunk& chunk = *chunks_[*chunk_index];
  const size_t i = chunk.LowerBound(revision);
  CHECK(i < chunk.entries.size() && chunk.RevisionAt(i) == revision);
  CHECK(!chunk.entries[i].location.null());
  return chunk.entries[i];
}

void ChangeIndex::Relocate(RevisionKey revision, Location location) {
  CHECK(!location.null());
  size_t chunk_index = 0;
  Find(revision, &chunk_index).location = location;
}

void ChangeIndex::Remove(RevisionKey revision) {
  size_t chunk_index = 0;
  Find(revision, &chunk_index).location = Location();
  --size_;
  Chunk& chunk = *chunks_[chunk_index];
  chunk.removed += 1;
  if (chunk.removed * 4 > chunk.entries.size()) Tidy(chunk_index);
}

void ChangeIndex::Tidy(size_t chunk_index) {
  Chunk& chunk = *chunks_[chunk_index];
  std::vector<Entry> kept;
  kept.reserve(chunk.entries.size() - chunk.removed);
  for (const Entry& entry : chunk.entries) {
    if (!entry.location.null()) kept.push_back(entry);
  }
  chunk.entries = std::move(kept);
  chunk.removed = 0;
  const auto position = chunks_.begin() + static_cast<ptrdiff_t>(chunk_index);
  if (chunk.entries.empty()) {
    chunks_.erase(position);
    return;
  }
  if (chunk_index == 0) return;
  Chunk& before = *chunks_[chunk_index - 1];
  const RevisionKey last = chunk.RevisionAt(chunk.entries.size() - 1);
  if (before.entries.size() + chunk.entries.size() > kChunkCapacity || !before.Reaches(last.main)) {
    return;
  }
  const int64_t shift = chunk.base_main - before.base_main;
  for (Entry entry : chunk.entries) {
    entry.main_delta = static_cast<uint32_t>(entry.main_delta + shift);
    before.entries.push_back(entry);
  }
  chunks_.erase(position);
}

void ChangeIndex::VisitFrom(RevisionKey from,
                            absl::FunctionRef<bool(RevisionKey, Location)> visitor) const {
  for (size_t c = ChunkFor(from); c < chunks_.size(); ++c) {
    const Chunk& chunk = *chunks_[c];
    const bool first = chunk.RevisionAt(0) < from;
    for (size_t i = first ? chunk.LowerBound(from) : 0; i < chunk.entries.size(); ++i) {
      if (chunk.entries[i].location.null()) continue;
      if (!visitor(chunk.RevisionAt(i), chunk.entries[i].location)) return;
    }
  }
}

void ChangeIndex::CheckInvariants() const {
  RevisionKey last{Revision(0), 0};
  int64_t stored = 0;
  for (const std::unique_ptr<Chunk>& chunk : chunks_) {
    CHECK(!chunk->entries.empty() && chunk->entries.size() <= kChunkCapacity);
    size_t removed = 0;
    for (size_t i = 0; i < chunk->entries.size(); ++i) {
      CHECK(chunk->RevisionAt(i) > last);
      last = chunk->RevisionAt(i);
      if (chunk->entries[i].location.null())
        ++removed;
      else
        ++stored;
    }
    CHECK(removed == chunk->removed && removed * 4 <= chunk->entries.size());
  }
  CHECK(stored == size_);
}

}  // namespace tidemark::mvcc
