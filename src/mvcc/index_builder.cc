#include "src/mvcc/index_builder.h"

#include <algorithm>
#include <utility>

#include "absl/types/span.h"
#include "src/base/check.h"

namespace tidemark::mvcc {
namespace {

constexpr size_t kBlockRecords = 16384;

// Runs that are dealt out together.
using Block = absl::Span<std::vector<RecordEntry>>;

std::vector<Block> CutIntoBlocks(RecordRuns& runs) {
  std::vector<Block> blocks;
  size_t first = 0;
  size_t records = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    records += runs[i].size();
    if (records < kBlockRecords && i + 1 < runs.size()) continue;
    blocks.push_back(absl::MakeSpan(runs).subspan(first, i + 1 - first));
    first = i + 1;
    records = 0;
  }
  return blocks;
}

template <typename Function>
void ForEachRecord(Block block, Function function) {
  for (std::vector<RecordEntry>& run : block) {
    for (RecordEntry& record : run) function(record);
  }
}

// All entries by shard, in revision order in each; with the nodes. `begin` of shard i is [i], its
// end [i + 1].
struct Dealt {
  std::vector<RecordEntry> entries;
  std::vector<size_t> begin;
};

Dealt Deal(RecordRuns& runs, ParallelRunner& workers) {
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
    ForEachRecord(blocks[i], [&](RecordEntry& e) {
      RecordEntry& place = dealt.entries[places[i][KeyIndex::ShardOf(e.key_hash)]++];
      place = std::move(e);
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
    RevisionKey revision;
    Location location;
    KeyNode* node;
  };

  absl::Span<RecordEntry> entries;
  Totals totals;
  std::vector<Listed> to_compact;
  std::vector<Listed> leased;
};

IndexBuilder::Built IndexBuilder::Build(RecordRuns records, size_t expected_keys,
                                        ParallelRunner& workers, LoadProgress& progress) {
  CHECK(keys_.size() == 0 && changes_.size() == 0);
  progress.BeginIndexing(2 * KeyIndex::kShards);  // ordering takes about as long as filling
  Dealt dealt = Deal(records, workers);
  std::vector<Shard> shards(KeyIndex::kShards);
  // The first piece needs no key, only revision order.
  workers.ForEach(KeyIndex::kShards + 1, [&](size_t i) {
    if (i == 0) {
      for (const std::vector<RecordEntry>& run : records) {
        for (const RecordEntry& e : run) changes_.Append(e.revision(), e.location());
      }
      records = RecordRuns();
      return;
    }
    Shard& shard = shards[i - 1];
    shard.entries = absl::MakeSpan(dealt.entries)
                        .subspan(dealt.begin[i - 1], dealt.begin[i] - dealt.begin[i - 1]);
    FillShard(i - 1, expected_keys / KeyIndex::kShards, &shard);
    progress.AddIndexedPart();
  });
  keys_.Order(workers, progress);

  Built built;
  std::vector<Shard::Listed> to_compact;
  for (Shard& shard : shards) {
    Add(shard.totals, &built.totals);
    to_compact.insert(to_compact.end(), shard.to_compact.begin(), shard.to_compact.end());
    for (const Shard::Listed& listed : shard.leased) built.leased.push_back(listed.node);
  }
  std::sort(to_compact.begin(), to_compact.end(),
            [](const auto& a, const auto& b) { return a.revision < b.revision; });
  built.to_compact.reserve(to_compact.size());
  for (const Shard::Listed& listed : to_compact) built.to_compact.push_back(listed.node);
  return built;
}

void IndexBuilder::FillShard(size_t number, size_t expected_keys, Shard* shard) {
  keys_.ReserveInShard(number, std::min(shard->entries.size(), expected_keys));
  for (RecordEntry& entry : shard->entries) AddVersion(entry, number, shard);
  // Those that were replaced since.
  std::erase_if(shard->leased, [](const Shard::Listed& listed) {
    return listed.node->newest()->location() != listed.location;
  });
}

// Looks at records and nodes only where a key has several versions.
void IndexBuilder::AddVersion(RecordEntry& entry, size_t number, Shard* shard) {
  Totals& totals = shard->totals;
  const KeyNode* const own = entry.node.get();
  KeyNode* const node = keys_.AddToShard(number, entry.key_hash, std::move(entry.node));
  const bool first = node == own;
  if (!first) {
    const Version& replaced = *node->newest();
    if (!replaced.tombstone()) {
      const RecordHeader& record = log_.Record(replaced.location());
      totals.live_keys -= 1;
      totals.live_wire_bytes -= record.wire_size;
      totals.state_hash -= record.Hash();
    }
    node->PushBack(Version(Revision(entry.main), entry.tombstone(), entry.location()));
  }
  totals.versions += 1;
  totals.wire_bytes += entry.wire_size;
  totals.stored_hash += entry.Hash();
  if (!entry.tombstone()) {
    totals.live_keys += 1;
    totals.live_wire_bytes += entry.wire_size;
    totals.state_hash += entry.Hash();
    if (entry.leased) shard->leased.push_back({entry.revision(), entry.location(), node});
  }
  if ((entry.tombstone() || !first) && !node->queued) {
    node->queued = true;
    shard->to_compact.push_back({entry.revision(), entry.location(), node});
  }
}

}  // namespace tidemark::mvcc
