#include "src/mvcc/index_builder.h"

#include <algorithm>
#include <utility>

#include "absl/types/span.h"
#include "src/base/check.h"

namespace tidemark::mvcc {
namespace {

constexpr size_t kBlockRecords = 16384;
constexpr size_t kAhead = 16;  // records to prefetch

// Runs that are dealt out together.
using Block = absl::Span<const std::vector<RecordEntry>>;

std::vector<Block> CutIntoBlocks(const RecordRuns& runs) {
  std::vector<Block> blocks;
  size_t first = 0;
  size_t records = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    records += runs[i].size();
    if (records < kBlockRecords && i + 1 < runs.size()) continue;
    blocks.push_back(absl::MakeConstSpan(runs).subspan(first, i + 1 - first));
    first = i + 1;
    records = 0;
  }
  return blocks;
}

template <typename Function>
void ForEachRecord(Block block, Function function) {
  for (const std::vector<RecordEntry>& run : block) {
    for (const RecordEntry& record : run) function(record);
  }
}

// All entries by shard, in revision order in each. `begin` of shard i is [i], its end [i + 1].
struct Dealt {
  std::vector<RecordEntry> entries;
  std::vector<size_t> begin;
};

Dealt Deal(const RecordRuns& runs, ParallelRunner& workers) {
  const std::vector<Block> blocks = CutIntoBlocks(runs);
  // How many of each block go to each shard; then where the next one goes.
  std::vector<std::vector<size_t>> places(blocks.size());
  workers.ForEach(blocks.size(), [&](size_t i) {
    places[i].resize(KeyIndex::kShards);
    ForEachRecord(blocks[i],
                  [&](const RecordEntry& e) { ++places[i][KeyIndex::ShardOf(e.key_hash)]; });
  });
  Dealt dealt;
  size_t next = 0;
  for (size_t shard = 0; shard < KeyIndex::kShards; ++shard) {
    dealt.begin.push_back(next);
    for (std::vector<size_t>& place : places) {
      const size_t count = place[shard];
      place[shard] = next;
      next += count;
    }
  }
  dealt.begin.push_back(next);
  dealt.entries.resize(next);
  workers.ForEach(blocks.size(), [&](size_t i) {
    ForEachRecord(blocks[i], [&](const RecordEntry& e) {
      dealt.entries[places[i][KeyIndex::ShardOf(e.key_hash)]++] = e;
    });
  });
  return dealt;
}

void Add(const IndexBuilder::Totals& part, IndexBuilder::Totals* sum) {
  sum->versions += part.versions;
  sum->wire_bytes += part.wire_bytes;
  sum->stored_hash += part.stored_hash;
  sum->live_keys += part.live_keys;
  sum->live_wire_bytes += part.live_wire_bytes;
  sum->state_hash += part.state_hash;
}

}  // namespace

struct IndexBuilder::Shard {
  // A node, and the change that put it on the list.
  struct Listed {
    const RecordEntry* entry;
    KeyNode* node;
  };

  absl::Span<const RecordEntry> entries;
  Totals totals;
  std::vector<Listed> to_compact;
  std::vector<Listed> leased;
};

IndexBuilder::Built IndexBuilder::Build(RecordRuns records, size_t expected_keys,
                                        ParallelRunner& workers, LoadProgress& progress) {
  CHECK(keys_.size() == 0 && changes_.size() == 0);
  const Dealt dealt = Deal(records, workers);
  std::vector<Shard> shards(KeyIndex::kShards);
  // The first piece needs no key, only revision order.
  workers.ForEach(KeyIndex::kShards + 1, [&](size_t i) {
    if (i == 0) {
      for (const std::vector<RecordEntry>& run : records) {
        for (const RecordEntry& e : run) changes_.Append(e.revision(), e.location());
      }
      records = {};
      return;
    }
    Shard& shard = shards[i - 1];
    shard.entries = absl::MakeConstSpan(dealt.entries)
                        .subspan(dealt.begin[i - 1], dealt.begin[i] - dealt.begin[i - 1]);
    FillShard(i - 1, expected_keys / KeyIndex::kShards, &shard);
    progress.AddIndexedPart(KeyIndex::kShards);
  });
  keys_.Order(workers);

  Built built;
  std::vector<Shard::Listed> to_compact;
  std::vector<Shard::Listed> leased;
  for (Shard& shard : shards) {
    Add(shard.totals, &built.totals);
    to_compact.insert(to_compact.end(), shard.to_compact.begin(), shard.to_compact.end());
    leased.insert(leased.end(), shard.leased.begin(), shard.leased.end());
  }
  auto take = [](std::vector<Shard::Listed>& from, std::vector<KeyNode*>* to) {
    std::sort(from.begin(), from.end(), [](const Shard::Listed& a, const Shard::Listed& b) {
      return a.entry->revision() < b.entry->revision();
    });
    to->reserve(from.size());
    for (const Shard::Listed& listed : from) to->push_back(listed.node);
  };
  take(to_compact, &built.to_compact);
  take(leased, &built.leased);
  return built;
}

void IndexBuilder::FillShard(size_t number, size_t expected_keys, Shard* shard) {
  const absl::Span<const RecordEntry> entries = shard->entries;
  keys_.ReserveInShard(number, std::min(entries.size(), expected_keys));
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i + kAhead < entries.size()) {
      constexpr ptrdiff_t kCacheLineBytes = 64;
      const auto* next =
          reinterpret_cast<const char*>(&log_.Record(entries[i + kAhead].location()));
      __builtin_prefetch(next);
      __builtin_prefetch(next + kCacheLineBytes);
    }
    const RecordEntry& entry = entries[i];
    const absl::string_view key = KeyOfWire(log_.Record(entry.location()).wire());
    AddVersion(keys_.FindOrCreateInShard(number, key, entry.key_hash), entry, shard);
  }
  // Those that were replaced since.
  std::erase_if(shard->leased, [](const Shard::Listed& listed) {
    return listed.node->newest()->location() != listed.entry->location();
  });
}

void IndexBuilder::AddVersion(KeyNode* node, const RecordEntry& entry, Shard* shard) const {
  Totals& totals = shard->totals;
  if (const Version* replaced = node->newest(); replaced != nullptr && !replaced->tombstone()) {
    const RecordHeader& record = log_.Record(replaced->location());
    totals.live_keys -= 1;
    totals.live_wire_bytes -= record.wire_size;
    totals.state_hash -= record.Hash();
  }
  totals.versions += 1;
  totals.wire_bytes += entry.wire_size;
  totals.stored_hash += entry.Hash();
  if (!entry.tombstone()) {
    totals.live_keys += 1;
    totals.live_wire_bytes += entry.wire_size;
    totals.state_hash += entry.Hash();
    if (entry.leased) shard->leased.push_back({&entry, node});
  }
  node->PushBack(Version(Revision(entry.main), entry.tombstone(), entry.location()));
  if (!node->queued && (entry.tombstone() || node->versions().size() > 1)) {
    node->queued = true;
    shard->to_compact.push_back({&entry, node});
  }
}

}  // namespace tidemark::mvcc
