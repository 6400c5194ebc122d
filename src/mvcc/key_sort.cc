#include "src/mvcc/key_sort.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tidemark::mvcc {
namespace {

constexpr size_t kBucketNodes = 4096;
constexpr size_t kSliceNodes = 65536;
constexpr size_t kSamplesPerBucket = 8;
constexpr size_t kAhead = 16;  // nodes to prefetch

size_t CommonPrefix(absl::string_view a, absl::string_view b) {
  const size_t limit = std::min(a.size(), b.size());
  size_t common = 0;
  while (common < limit && a[common] == b[common]) ++common;
  return common;
}

// The eight bytes from `at` on as a number that compares as they do; zeros behind the end.
uint64_t Window(absl::string_view key, size_t at) {
  const absl::string_view rest = key.substr(std::min(at, key.size()));
  uint64_t word = 0;
  std::memcpy(&word, rest.data(), std::min(rest.size(), sizeof(word)));
  return std::endian::native == std::endian::little ? __builtin_bswap64(word) : word;
}

void Sort(absl::Span<KeyNode*> nodes, size_t common) {
  struct Item {
    uint64_t window;
    KeyNode* node;
  };
  std::vector<Item> items;
  items.reserve(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i + kAhead < nodes.size()) nodes[i + kAhead]->Prefetch();
    items.push_back({Window(nodes[i]->key(), common), nodes[i]});
  }
  std::sort(items.begin(), items.end(), [common](const Item& a, const Item& b) {
    if (a.window != b.window) return a.window < b.window;
    return a.node->key().substr(common) < b.node->key().substr(common);
  });
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i] = items[i].node;
}

// The first keys of all buckets but the first.
std::vector<KeyNode*> Borders(absl::Span<KeyNode* const> nodes, size_t buckets) {
  std::vector<KeyNode*> samples;
  const size_t wanted = buckets * kSamplesPerBucket;
  for (size_t i = 0; i < wanted; ++i) samples.push_back(nodes[i * nodes.size() / wanted]);
  Sort(absl::MakeSpan(samples), 0);
  std::vector<KeyNode*> borders;
  for (size_t i = 1; i < buckets; ++i) borders.push_back(samples[i * kSamplesPerBucket]);
  return borders;
}

// Which bucket each node of a slice belongs to, and how many each bucket gets from it.
struct Slice {
  std::vector<uint32_t> bucket_of;
  std::vector<uint32_t> counts;  // then: where the bucket's next node of this slice goes
};

Slice Classify(absl::Span<KeyNode* const> nodes, absl::Span<KeyNode* const> borders) {
  Slice slice;
  slice.bucket_of.reserve(nodes.size());
  slice.counts.resize(borders.size() + 1);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i + kAhead < nodes.size()) nodes[i + kAhead]->Prefetch();
    auto above = std::upper_bound(
        borders.begin(), borders.end(), nodes[i]->key(),
        [](absl::string_view key, const KeyNode* border) { return key < border->key(); });
    const auto bucket = static_cast<uint32_t>(above - borders.begin());
    slice.bucket_of.push_back(bucket);
    ++slice.counts[bucket];
  }
  return slice;
}

}  // namespace

void SortByKey(std::vector<KeyNode*>* nodes, ParallelRunner& workers) {
  if (nodes->size() <= 2 * kBucketNodes) return Sort(absl::MakeSpan(*nodes), 0);
  const std::vector<KeyNode*> borders = Borders(*nodes, nodes->size() / kBucketNodes);
  std::vector<Slice> slices((nodes->size() + kSliceNodes - 1) / kSliceNodes);
  auto slice_of = [&](size_t i) {
    return absl::MakeConstSpan(*nodes).subspan(i * kSliceNodes, kSliceNodes);
  };
  workers.ForEach(slices.size(), [&](size_t i) { slices[i] = Classify(slice_of(i), borders); });

  std::vector<uint32_t> begin;  // of each bucket, and the end
  uint32_t next = 0;
  for (size_t bucket = 0; bucket <= borders.size(); ++bucket) {
    begin.push_back(next);
    for (Slice& slice : slices) {
      const uint32_t count = slice.counts[bucket];
      slice.counts[bucket] = next;
      next += count;
    }
  }
  begin.push_back(next);

  std::vector<KeyNode*> sorted(nodes->size());
  workers.ForEach(slices.size(), [&](size_t i) {
    const absl::Span<KeyNode* const> from = slice_of(i);
    for (size_t n = 0; n < from.size(); ++n) {
      sorted[slices[i].counts[slices[i].bucket_of[n]]++] = from[n];
    }
  });
  workers.ForEach(borders.size() + 1, [&](size_t bucket) {
    const bool has_borders = bucket > 0 && bucket < borders.size();
    const size_t common =
        has_borders ? CommonPrefix(borders[bucket - 1]->key(), borders[bucket]->key()) : 0;
    Sort(absl::MakeSpan(sorted).subspan(begin[bucket], begin[bucket + 1] - begin[bucket]), common);
  });
  *nodes = std::move(sorted);
}

}  // namespace tidemark::mvcc
