// The oracle for everything that spans partitions: the same requests give the same answers, field
// by field, from a store cut into partitions and from one that is not.

#include <map>
#include <random>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "src/partition/store_for_test.h"

namespace tidemark::partition {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using kvstore::OpResult;

std::string Hex(const SharedBytes& bytes) { return absl::CHexEscape(bytes.view()); }

std::string Render(const kvstore::RangeResult& result) {
  std::string out = absl::StrCat("range count=", result.count, " more=", result.more);
  for (const auto& item : result.items) absl::StrAppend(&out, " [", Hex(item.wire), "]");
  return out;
}
std::string Render(const kvstore::PutResult& result) {
  return absl::StrCat("put ", result.prev_kv ? Hex(*result.prev_kv) : "-");
}
std::string Render(const kvstore::DeleteResult& result) {
  std::string out = absl::StrCat("delete ", result.deleted);
  for (const auto& kv : result.prev_kvs) absl::StrAppend(&out, " [", Hex(kv), "]");
  return out;
}
std::string Render(const kvstore::TxnResult& result) {
  std::string out = absl::StrCat("txn ", result.succeeded, " {");
  for (const OpResult& op : result.responses) {
    if (const auto* nested = std::get_if<std::unique_ptr<kvstore::TxnResult>>(&op.result)) {
      absl::StrAppend(&out, Render(**nested), "; ");
      continue;
    }
    absl::StrAppend(&out, "@", op.header_revision.value(), " ");
    if (const auto* r = std::get_if<kvstore::RangeResult>(&op.result)) {
      absl::StrAppend(&out, Render(*r));
    } else if (const auto* p = std::get_if<kvstore::PutResult>(&op.result)) {
      absl::StrAppend(&out, Render(*p));
    } else if (const auto* d = std::get_if<kvstore::DeleteResult>(&op.result)) {
      absl::StrAppend(&out, Render(*d));
    }
    absl::StrAppend(&out, "; ");
  }
  return out + "}";
}
std::string Render(const Nothing&) { return "ok"; }
std::string Render(const LeaseGranted& lease) {
  return absl::StrCat("granted ", lease.id.value(), " ", lease.ttl_seconds);
}
std::string Render(const LeaseLife& life) {
  return absl::StrCat("life ", life.id.value(), " ", life.granted_seconds, " ",
                      absl::StrJoin(life.keys, ","));
}
std::string Render(const HashKvResult& hash) {
  return absl::StrCat("hash ", hash.hash, " ", hash.compact_revision.value(), " ",
                      hash.hash_revision.value());
}
template <typename Result>
std::string Render(const absl::StatusOr<kvstore::Reply<Result>>& reply) {
  if (!reply.ok()) return std::string(reply.status().message());
  return absl::StrCat("rev=", reply->revision.value(), " ", Render(reply->result));
}

const std::vector<std::string>& Keys() {
  static const auto* const keys = new std::vector<std::string>{
      "/registry/pods/a",         "/registry/pods/b",   "/registry/pods",
      "/registry/minions/n",      "/registry/leases/l", "/registry/events/e",
      "/registry/podtemplates/p", "/registry/zz",       "a",
      "compact_rev_key",          "/registry/leases0"};
  return *keys;
}

class Requests {
 public:
  explicit Requests(uint64_t seed) : random_(seed) {}

  uint64_t Below(uint64_t n) { return random_() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  std::string Key() { return Keys()[Below(Keys().size())]; }
  std::string End(const std::string& key) {
    switch (Below(6)) {
      case 0:
        return std::string(1, '\0');
      case 1:
        return "/registry/pods0";
      case 2:
        return "/registry0";
      case 3:
        return Key();
      default:
        return key + "zz";
    }
  }
  int64_t Revision(int64_t current) {
    return OneIn(4) ? static_cast<int64_t>(Below(static_cast<uint64_t>(current) + 3)) - 1 : 0;
  }

  RangeRequest Range(int64_t current) {
    RangeRequest range;
    range.set_key(OneIn(5) ? std::string(1, '\0') : Key());
    if (!OneIn(3)) range.set_range_end(OneIn(3) ? std::string(1, '\0') : End(range.key()));
    range.set_revision(Revision(current));
    if (OneIn(2)) range.set_limit(static_cast<int64_t>(Below(5)));
    if (OneIn(3)) range.set_sort_order(static_cast<RangeRequest::SortOrder>(Below(3)));
    if (OneIn(3)) range.set_sort_target(static_cast<RangeRequest::SortTarget>(Below(5)));
    range.set_serializable(OneIn(4));
    range.set_keys_only(OneIn(6));
    range.set_count_only(OneIn(6));
    if (OneIn(6)) range.set_min_mod_revision(current / 2);
    if (OneIn(6)) range.set_max_create_revision(current - 3);
    return range;
  }
  etcdserverpb::PutRequest Put() {
    etcdserverpb::PutRequest put;
    put.set_key(Key());
    if (OneIn(8)) {
      put.set_ignore_value(true);
    } else {
      put.set_value(absl::StrCat("v", Below(100)));
    }
    if (OneIn(3)) put.set_lease(static_cast<int64_t>(Below(4)));
    if (OneIn(8)) {
      put.set_ignore_lease(true);
      put.clear_lease();
    }
    put.set_prev_kv(OneIn(2));
    return put;
  }
  etcdserverpb::DeleteRangeRequest Delete() {
    etcdserverpb::DeleteRangeRequest del;
    del.set_key(OneIn(8) ? std::string(1, '\0') : Key());
    if (OneIn(2)) del.set_range_end(End(del.key()));
    del.set_prev_kv(OneIn(2));
    return del;
  }
  Compare OneCompare(int64_t current) {
    Compare compare;
    compare.set_key(Key());
    if (OneIn(3)) compare.set_range_end(End(compare.key()));
    compare.set_result(static_cast<Compare::CompareResult>(Below(4)));
    compare.set_target(static_cast<Compare::CompareTarget>(Below(5)));
    switch (compare.target()) {
      case Compare::VERSION:
        compare.set_version(static_cast<int64_t>(Below(3)));
        break;
      case Compare::CREATE:
        compare.set_create_revision(static_cast<int64_t>(Below(3)) * current);
        break;
      case Compare::MOD:
        compare.set_mod_revision(current - static_cast<int64_t>(Below(4)));
        break;
      case Compare::VALUE:
        compare.set_value("v5");
        break;
      default:
        compare.set_lease(static_cast<int64_t>(Below(3)));
        break;
    }
    return compare;
  }
  void Ops(google::protobuf::RepeatedPtrField<RequestOp>* ops, int64_t current, int depth,
           bool reads_only) {
    for (uint64_t n = Below(4); n > 0; --n) {
      RequestOp& op = *ops->Add();
      const uint64_t kind = reads_only ? 0 : Below(8);
      if (kind <= 2) {
        *op.mutable_request_range() = Range(current);
      } else if (kind <= 5) {
        *op.mutable_request_put() = Put();
      } else if (kind == 6 || depth == 0) {
        *op.mutable_request_delete_range() = Delete();
      } else {
        *op.mutable_request_txn() = Txn(current, depth - 1, false);
      }
    }
  }
  TxnRequest Txn(int64_t current, int depth, bool reads_only) {
    TxnRequest txn;
    for (uint64_t n = Below(3); n > 0; --n) *txn.add_compare() = OneCompare(current);
    Ops(txn.mutable_success(), current, depth, reads_only);
    Ops(txn.mutable_failure(), current, depth, reads_only);
    return txn;
  }

 private:
  std::mt19937_64 random_;
};

// One request against one store, as text.
std::string RunRequest(StoreForTest& store, uint64_t seed, int64_t current) {
  Requests requests(seed);
  switch (requests.Below(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return Render(store.Put(requests.Put()));
    case 4:
    case 5:
    case 6:
      return Render(store.Range(requests.Range(current)));
    case 7:
      return Render(store.DeleteRange(requests.Delete()));
    case 8:
    case 9:
      return Render(store.Txn(requests.Txn(current, 0, true)));
    case 10:
      return requests.OneIn(3)
                 ? Render(store.Compact(requests.Revision(current), requests.OneIn(2)))
                 : "none";
    case 11:
      return Render(store.HashKv(requests.Revision(current)));
    case 12:
      return Render(store.Grant(static_cast<int64_t>(requests.Below(3)) + 1, 100000));
    case 13:
      return Render(store.Revoke(static_cast<int64_t>(requests.Below(4)) + 1));
    case 14:
      return Render(store.TimeToLive(static_cast<int64_t>(requests.Below(3)) + 1, true));
    default:
      return Render(store.Txn(requests.Txn(current, 2, false)));
  }
}

struct Watching {
  explicit Watching(StoreForTest& store)
      : stream(store.router().OpenWatch(store.client(), output)) {}
  void Create(const std::string& key, const std::string& end, int64_t start, bool prev_kv) {
    etcdserverpb::WatchCreateRequest request;
    request.set_key(key);
    request.set_range_end(end);
    request.set_start_revision(start);
    request.set_prev_kv(prev_kv);
    stream->Create(request);
  }
  void Consume() { stream->Consumed(std::exchange(output.unconsumed_bytes, 0)); }
  RecordingOutput output;
  std::unique_ptr<WatchStream> stream;
};

LocalStoreOptions Options(PartitionMap map) {
  LocalStoreOptions options;
  options.map = std::move(map);
  return options;
}

class Equivalence : public ::testing::TestWithParam<int> {};

TEST_P(Equivalence, SameAnswersWithAndWithoutPartitions) {
  const uint64_t seed = static_cast<uint64_t>(GetParam());
  StoreForTest cut(Options(PartitionMap::Default()), seed, 1 + seed % 3);
  StoreForTest whole(Options(PartitionMap::Single()), seed);
  ASSERT_TRUE(cut.Start().ok());
  ASSERT_TRUE(whole.Start().ok());
  const std::string zero(1, '\0');
  std::vector<std::unique_ptr<Watching>> watchings;
  for (StoreForTest* store : {&cut, &whole}) {
    watchings.push_back(std::make_unique<Watching>(*store));
    watchings.back()->Create(zero, zero, 0, true);
    watchings.back()->Create("/registry/", "/registry0", 1, false);
    watchings.back()->Create("/registry/pods/", "/registry/pods0", 0, true);
    watchings.back()->Create("a", "", 0, false);
    store->world().RunFor(absl::Milliseconds(50));
  }
  std::mt19937_64 seeds(seed);
  for (int step = 0; step < 400; ++step) {
    const uint64_t request = seeds();
    const int64_t current = cut.router().Status().revision.value();
    ASSERT_EQ(current, whole.router().Status().revision.value()) << "step " << step;
    const std::string from_cut = RunRequest(cut, request, current);
    const std::string from_whole = RunRequest(whole, request, current);
    ASSERT_EQ(from_cut, from_whole) << "seed " << seed << " step " << step;
    for (auto& watching : watchings) watching->Consume();
  }
  for (StoreForTest* store : {&cut, &whole}) store->world().RunFor(absl::Seconds(1));
  for (int id = 0; id < 4; ++id) {
    const std::string of_watch = absl::StrCat("event ", id, " ");
    EXPECT_EQ(watchings[0]->output.LinesWith(of_watch), watchings[1]->output.LinesWith(of_watch));
  }
  EXPECT_FALSE(watchings[0]->output.LinesWith("event 0").empty());
  for (auto& watching : watchings) watching->stream = nullptr;
  for (StoreForTest* store : {&cut, &whole}) {
    store->world().RunFor(absl::Seconds(1));
    store->store().CheckIdle();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Equivalence, ::testing::Range(1, 41));

}  // namespace
}  // namespace tidemark::partition
