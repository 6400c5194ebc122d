#include "src/mvcc/key_sort.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/string_view.h"
#include "src/base/mutex.h"

namespace tidemark::mvcc {
namespace {

constexpr size_t kBucketNodes = 4096;
constexpr size_t kSliceNodes = 65536;
constexpr size_t kSamplesPerBucket = 8;
constexpr size_t kAhead = 16;  // nodes to prefetch

// A node, and the eight bytes of its key that its bucket is sorted by.
struct Item {
  uint64_t window = 0;
  KeyNode* node = nullptr;
};

// Keys from `first` on and below the next bucket's first. All share `common` bytes.
struct Bucket {
  absl::string_view first;
  size_t common = 0;
  size_t begin = 0;  // in the sorted items
  size_t end = 0;
};

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

void Sort(absl::Span<Item> items, size_t common) {
  std::sort(items.begin(), items.end(), [common](const Item& a, const Item& b) {
    if (a.window != b.window) return a.window < b.window;
    return a.node->key().substr(common) < b.node->key().substr(common);
  });
}

std::vector<Bucket> MakeBuckets(absl::Span<KeyNode* const> nodes) {
  const size_t count = std::max<size_t>(1, nodes.size() / kBucketNodes);
  std::vector<Item> samples;
  const size_t wanted = count * kSamplesPerBucket;
  for (size_t i = 0; count > 1 && i < wanted; ++i) {
    KeyNode* node = nodes[i * nodes.size() / wanted];
    samples.push_back({Window(node->key(), 0), node});
  }
  Sort(absl::MakeSpan(samples), 0);
  std::vector<Bucket> buckets(count);  // the first one begins with the least possible key
  for (size_t i = 1; i < count; ++i) {
    buckets[i].first = samples[i * kSamplesPerBucket].node->key();
    if (i > 1) buckets[i - 1].common = CommonPrefix(buckets[i - 1].first, buckets[i].first);
  }
  return buckets;
}

// A slice of the nodes with the bucket that each belongs to, and how many each bucket gets from it.
struct Slice {
  std::vector<Item> items;
  std::vector<uint32_t> bucket_of;
  std::vector<size_t> counts;  // then: where the bucket's next item of this slice goes
};

Slice Classify(absl::Span<KeyNode* const> nodes, absl::Span<const Bucket> buckets) {
  Slice slice;
  slice.items.reserve(nodes.size());
  slice.bucket_of.reserve(nodes.size());
  slice.counts.resize(buckets.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i + kAhead < nodes.size()) nodes[i + kAhead]->Prefetch();
    const absl::string_view key = nodes[i]->key();
    auto above = std::upper_bound(
        buckets.begin() + 1, buckets.end(), key,
        [](absl::string_view k, const Bucket& bucket) { return k < bucket.first; });
    const auto bucket = static_cast<uint32_t>(above - buckets.begin() - 1);
    slice.items.push_back({Window(key, buckets[bucket].common), nodes[i]});
    slice.bucket_of.push_back(bucket);
    ++slice.counts[bucket];
  }
  return slice;
}

// Hands on buckets in their order as they become ready, in whatever order that is.
class InOrder {
 public:
  using Take = absl::FunctionRef<void(absl::Span<KeyNode* const>)>;

  InOrder(absl::Span<const Bucket> buckets, absl::Span<const Item> items, Take take)
      : buckets_(buckets), items_(items), take_(take), ready_(buckets.size()) {}

  void Ready(size_t bucket) {
    MutexLock lock(&mutex_);
    ready_[bucket] = true;
    if (taking_) return;  // whoever takes looks again
    taking_ = true;
    for (; next_ < buckets_.size() && ready_[next_]; ++next_) {
      mutex_.Unlock();
      TakeOne(buckets_[next_]);
      mutex_.Lock();
    }
    taking_ = false;
  }

 private:
  void TakeOne(const Bucket& bucket) {
    nodes_.clear();
    for (size_t i = bucket.begin; i < bucket.end; ++i) nodes_.push_back(items_[i].node);
    take_(nodes_);
  }

  const absl::Span<const Bucket> buckets_;
  const absl::Span<const Item> items_;
  const Take take_;
  Mutex mutex_;
  std::vector<bool> ready_ ABSL_GUARDED_BY(mutex_);
  bool taking_ ABSL_GUARDED_BY(mutex_) = false;
  size_t next_ = 0;              // of who takes
  std::vector<KeyNode*> nodes_;  // of who takes
};

}  // namespace

void SortByKey(std::vector<KeyNode*> nodes, ParallelRunner& workers,
               absl::FunctionRef<void(absl::Span<KeyNode* const>)> take) {
  std::vector<Bucket> buckets = MakeBuckets(nodes);
  std::vector<Slice> slices((nodes.size() + kSliceNodes - 1) / kSliceNodes);
  workers.ForEach(slices.size(), [&](size_t i) {
    slices[i] = Classify(absl::MakeConstSpan(nodes).subspan(i * kSliceNodes, kSliceNodes), buckets);
  });
  size_t next = 0;
  for (size_t bucket = 0; bucket < buckets.size(); ++bucket) {
    buckets[bucket].begin = next;
    for (Slice& slice : slices) next += std::exchange(slice.counts[bucket], next);
    buckets[bucket].end = next;
  }
  std::vector<Item> items(nodes.size());
  workers.ForEach(slices.size(), [&](size_t i) {
    Slice& slice = slices[i];
    for (size_t n = 0; n < slice.items.size(); ++n) {
      items[slice.counts[slice.bucket_of[n]]++] = slice.items[n];
    }
    slice = Slice();
  });
  InOrder in_order(buckets, items, take);
  workers.ForEach(buckets.size(), [&](size_t i) {
    const Bucket& bucket = buckets[i];
    Sort(absl::MakeSpan(items).subspan(bucket.begin, bucket.end - bucket.begin), bucket.common);
    in_order.Ready(i);
  });
}

}  // namespace tidemark::mvcc
