// The least that answers etcd's KV, Watch and Lease calls rightly: a map in memory, no history.
//
// It is the limit that Tidemark is compared with, and a server for tests of the load client. With a
// journal file, writes are answered after a durable append, one for all that a turn of the loop
// read: the least that a durable server does. Not there: reads at old revisions, expiry of leases,
// watches from the past, filters, nested transactions, compares other than "equals a number".
// Bound to the transport's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <google/protobuf/message.h>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "bench/limit/bare_transport.h"
#include "bench/limit/journal_file.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

class BareStore : public BareService {
 public:
  // Changes an answer before it is sent: how tests plant wrong ones. Costs a decoding each.
  using Tamper = std::function<void(absl::string_view path, google::protobuf::Message* answer)>;

  explicit BareStore(JournalFile* journal = nullptr) : journal_(journal) {}
  void set_tamper(Tamper tamper) { tamper_ = std::move(tamper); }
  // Lies of other kinds: compactions are acknowledged and change nothing; so are writes, of which
  // only the revisions are counted; requests for progress are forgotten.
  enum class Fault { kNone, kIgnoresCompactions, kStoresNothing, kAnswersNoProgress };
  void set_fault(Fault fault) { fault_ = fault; }

 private:
  struct Record {
    int64_t create_revision = 0;
    int64_t mod_revision = 0;
    int64_t version = 0;
    std::string key_value;  // encoded mvccpb.KeyValue
  };
  struct Watcher {
    BareCallPtr call;
    int64_t id = 0;
    std::string key;
    std::string range_end;
    bool prev_kv = false;
  };
  struct CachedList {
    int64_t revision = 0;
    BareCall::Bytes framed;
  };
  using Map = absl::btree_map<std::string, Record>;
  using Handler = void (BareStore::*)(const BareCallPtr&, absl::string_view);

  void OnMessage(const BareCallPtr& call, absl::string_view message) override;
  void OnInputEnd(const BareCallPtr& call) override;
  void OnOver(const BareCallPtr& call) override;
  void OnTurnEnd() override;

  void Range(const BareCallPtr& call, absl::string_view message);
  void RangeStream(const BareCallPtr& call, absl::string_view message);
  void Put(const BareCallPtr& call, absl::string_view message);
  void DeleteRange(const BareCallPtr& call, absl::string_view message);
  void Txn(const BareCallPtr& call, absl::string_view message);
  void Compact(const BareCallPtr& call, absl::string_view message);
  void Watch(const BareCallPtr& call, absl::string_view message);
  void LeaseGrant(const BareCallPtr& call, absl::string_view message);
  void LeaseKeepAlive(const BareCallPtr& call, absl::string_view message);
  void Echo(const BareCallPtr& call, absl::string_view message);
  void Status(const BareCallPtr& call, absl::string_view message);
  static const absl::flat_hash_map<absl::string_view, Handler>& Handlers();

  bool Holds(const etcdserverpb::Compare& compare) const;
  void PutAt(const etcdserverpb::PutRequest& request, int64_t revision);
  int64_t DeleteAt(const etcdserverpb::DeleteRangeRequest& request, int64_t revision);
  // The answer in etcd's wire format: fields may come in any order.
  std::string RangeBody(const etcdserverpb::RangeRequest& request) const;
  void Notify(const std::string& key, const std::string& event, int64_t revision);
  void SetHeader(etcdserverpb::ResponseHeader* header) const;
  template <class Response>
  void Answer(const BareCallPtr& call, const Response& response, bool is_last = true);
  // At once, or after the sync when there is something to be synced: it may tell of that.
  void Reply(const BareCallPtr& call, BareCall::Bytes framed, bool is_last);
  void KeepForSync(absl::string_view message);

  JournalFile* const journal_;  // null: nothing is durable
  Tamper tamper_;
  Fault fault_ = Fault::kNone;
  int64_t revision_ = 1;
  int64_t compacted_ = 0;
  int64_t next_lease_ = 1000;
  absl::flat_hash_map<int64_t, int64_t> lease_ttls_;
  Map map_;
  std::vector<Watcher> watchers_;
  absl::flat_hash_map<std::string, CachedList> lists_;  // by request
  std::string unsynced_;
  struct Waiting {
    BareCallPtr call;
    BareCall::Bytes framed;
    bool is_last = true;
  };
  std::vector<Waiting> waiting_;  // for the sync
};

}  // namespace tidemark::bench
