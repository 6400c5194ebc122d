#include "bench/limit/bare_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

using etcdserverpb::Compare;
using google::protobuf::MessageLite;

constexpr int kOutOfRange = 11;
constexpr int kUnimplemented = 12;
constexpr char kCompactedText[] = "etcdserver: mvcc: required revision has been compacted";
constexpr int64_t kStreamPageKeys = 500;
constexpr size_t kCachedLists = 64;

// Field numbers of etcd's API that are written by hand, around bytes that are encoded already.
constexpr int kRangeResponseKvs = 2;
constexpr int kRangeStreamResponse = 1;
constexpr int kWatchResponseEvents = 11;
constexpr int kEventKv = 2;
constexpr int kEventPrevKv = 3;

void AppendVarint(uint64_t value, std::string* to) {
  for (; value >= 0x80; value >>= 7) to->push_back(static_cast<char>(value | 0x80));
  to->push_back(static_cast<char>(value));
}

void AppendField(int number, absl::string_view bytes, std::string* to) {
  AppendVarint(static_cast<uint64_t>(number) << 3 | 2, to);
  AppendVarint(bytes.size(), to);
  to->append(bytes.data(), bytes.size());
}

template <class Message>
bool Parse(absl::string_view bytes, Message* message) {
  return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

bool IsAllKeys(absl::string_view range_end) { return range_end == absl::string_view("\0", 1); }

bool Covers(const std::string& key, const std::string& range_end, const std::string& wanted) {
  if (range_end.empty()) return wanted == key;
  return wanted >= key && (IsAllKeys(range_end) || wanted < range_end);
}

BareCall::Bytes Frame(const std::string& body) {
  std::string framed(kFramePrefixBytes, '\0');
  for (int i = 1; i < 5; ++i) framed[i] = static_cast<char>(body.size() >> (8 * (4 - i)));
  framed += body;
  return std::make_shared<const std::string>(std::move(framed));
}

}  // namespace

const absl::flat_hash_map<absl::string_view, BareStore::Handler>& BareStore::Handlers() {
  static const auto& handlers = *new absl::flat_hash_map<absl::string_view, Handler>{
      {"/etcdserverpb.KV/Range", &BareStore::Range},
      {"/etcdserverpb.KV/RangeStream", &BareStore::RangeStream},
      {"/etcdserverpb.KV/Put", &BareStore::Put},
      {"/etcdserverpb.KV/DeleteRange", &BareStore::DeleteRange},
      {"/etcdserverpb.KV/Txn", &BareStore::Txn},
      {"/etcdserverpb.KV/Compact", &BareStore::Compact},
      {"/etcdserverpb.Watch/Watch", &BareStore::Watch},
      {"/etcdserverpb.Lease/LeaseGrant", &BareStore::LeaseGrant},
      {"/etcdserverpb.Lease/LeaseKeepAlive", &BareStore::LeaseKeepAlive},
      {"/etcdserverpb.Maintenance/Status", &BareStore::Status},
      {"/test.Echo/Unary", &BareStore::Echo},
  };
  return handlers;
}

void BareStore::OnMessage(const BareCallPtr& call, absl::string_view message) {
  const auto handler = Handlers().find(call->path());
  if (handler == Handlers().end()) return call->End(kUnimplemented, "not here");
  (this->*handler->second)(call, message);
}

void BareStore::OnInputEnd(const BareCallPtr& call) {
  if (call->path() == "/etcdserverpb.Watch/Watch" ||
      call->path() == "/etcdserverpb.Lease/LeaseKeepAlive") {
    call->End();
  }
}

void BareStore::OnOver(const BareCallPtr& call) {
  if (call->path() != "/etcdserverpb.Watch/Watch") return;
  std::erase_if(watchers_, [&](const Watcher& watcher) { return watcher.call == call; });
}

void BareStore::OnTurnEnd() {
  if (waiting_.empty()) return;
  if (!unsynced_.empty()) journal_->AppendAndSync(unsynced_);
  unsynced_.clear();
  for (Waiting& waiting : waiting_) {
    waiting.call->Send(std::move(waiting.framed));
    if (waiting.is_last) waiting.call->End();
  }
  waiting_.clear();
}

void BareStore::SetHeader(etcdserverpb::ResponseHeader* header) const {
  header->set_cluster_id(0x1234567890abcdef);
  header->set_member_id(0xfedcba0987654321);
  header->set_revision(revision_);
  header->set_raft_term(2);
}

void BareStore::KeepForSync(absl::string_view message) {
  if (journal_ != nullptr) unsynced_.append(message.data(), message.size());
}

void BareStore::Reply(const BareCallPtr& call, BareCall::Bytes framed, bool is_last) {
  if (!unsynced_.empty()) {
    waiting_.push_back({call, std::move(framed), is_last});
    return;
  }
  call->Send(std::move(framed));
  if (is_last) call->End();
}

template <class Response>
void BareStore::Answer(const BareCallPtr& call, const Response& response, bool is_last) {
  std::string framed;
  if (tamper_) {
    Response changed = response;
    tamper_(call->path(), &changed);
    AppendFramed(changed, &framed);
  } else {
    AppendFramed(response, &framed);
  }
  Reply(call, std::make_shared<const std::string>(std::move(framed)), is_last);
}

std::string BareStore::RangeBody(const etcdserverpb::RangeRequest& request) const {
  etcdserverpb::RangeResponse head;
  SetHeader(head.mutable_header());
  std::string kvs;
  int64_t count = 0;
  auto at =
      request.range_end().empty() ? map_.find(request.key()) : map_.lower_bound(request.key());
  if (fault_ == Fault::kStoresNothing) at = map_.end();
  for (; at != map_.end() && Covers(request.key(), request.range_end(), at->first); ++at) {
    ++count;
    const bool is_wanted = request.limit() == 0 || count <= request.limit();
    if (is_wanted && !request.count_only()) {
      AppendField(kRangeResponseKvs, at->second.key_value, &kvs);
    }
  }
  head.set_count(count);
  head.set_more(request.limit() > 0 && count > request.limit());
  std::string body;
  head.SerializeToString(&body);
  return body + kvs;
}

void BareStore::Range(const BareCallPtr& call, absl::string_view message) {
  etcdserverpb::RangeRequest request;
  Parse(message, &request);
  if (request.revision() > 0 && request.revision() < compacted_) {
    return call->End(kOutOfRange, kCompactedText);
  }
  if (tamper_) {
    etcdserverpb::RangeResponse response;
    Parse(RangeBody(request), &response);
    return Answer(call, response);
  }
  // A list that nothing has changed is sent from where it lies.
  const bool is_list = !request.range_end().empty();
  BareCall::Bytes framed;
  CachedList* cached = nullptr;
  if (is_list) {
    if (lists_.size() > kCachedLists) lists_.clear();
    cached = &lists_[std::string(message)];
    if (cached->revision == revision_) framed = cached->framed;
  }
  if (framed == nullptr) framed = Frame(RangeBody(request));
  if (cached != nullptr) *cached = {revision_, framed};
  Reply(call, std::move(framed), true);
}

void BareStore::RangeStream(const BareCallPtr& call, absl::string_view message) {
  etcdserverpb::RangeRequest request;
  Parse(message, &request);
  etcdserverpb::RangeResponse whole;
  if (tamper_) {
    Parse(RangeBody(request), &whole);
    etcdserverpb::RangeStreamResponse response;
    *response.mutable_range_response() = whole;
    return Answer(call, response);
  }
  CachedList& cached = lists_["stream" + std::string(message)];
  if (cached.revision != revision_) {
    std::string framed;
    std::string kvs;
    int64_t held = 0;
    int64_t count = 0;
    const auto flush = [&](const std::string& head) {
      std::string body;
      AppendField(kRangeStreamResponse, head + kvs, &body);
      framed += *Frame(body);
      kvs.clear();
      held = 0;
    };
    for (auto at = map_.lower_bound(request.key());
         at != map_.end() && Covers(request.key(), request.range_end(), at->first); ++at) {
      if (held == kStreamPageKeys) flush("");
      AppendField(kRangeResponseKvs, at->second.key_value, &kvs);
      ++held;
      ++count;
    }
    etcdserverpb::RangeResponse head;
    SetHeader(head.mutable_header());
    head.set_count(count);
    flush(head.SerializeAsString());
    cached = {revision_, std::make_shared<const std::string>(std::move(framed))};
  }
  Reply(call, cached.framed, true);
}

void BareStore::Notify(const std::string& key, const std::string& event, int64_t revision) {
  BareCall::Bytes shared;
  for (const Watcher& watcher : watchers_) {
    if (!Covers(watcher.key, watcher.range_end, key)) continue;
    etcdserverpb::WatchResponse head;
    SetHeader(head.mutable_header());
    head.mutable_header()->set_revision(revision);
    head.set_watch_id(watcher.id);
    if (tamper_) {
      Parse(event, head.add_events());
      Answer(watcher.call, head, false);
      continue;
    }
    if (shared == nullptr) {
      std::string field;
      AppendField(kWatchResponseEvents, event, &field);
      shared = std::make_shared<const std::string>(std::move(field));
    }
    std::string start(kFramePrefixBytes, '\0');
    head.AppendToString(&start);
    const size_t size = start.size() - kFramePrefixBytes + shared->size();
    for (int i = 1; i < 5; ++i) start[i] = static_cast<char>(size >> (8 * (4 - i)));
    auto prefix = std::make_shared<const std::string>(std::move(start));
    Reply(watcher.call, std::move(prefix), false);
    Reply(watcher.call, shared, false);
  }
}

void BareStore::PutAt(const etcdserverpb::PutRequest& request, int64_t revision) {
  Record& record = map_[request.key()];
  const bool was_there = record.version > 0;
  if (!was_there) record.create_revision = revision;
  record.mod_revision = revision;
  ++record.version;
  mvccpb::KeyValue fixed;
  fixed.set_key(request.key());
  fixed.set_create_revision(record.create_revision);
  fixed.set_mod_revision(revision);
  fixed.set_version(record.version);
  fixed.set_value(request.value());
  fixed.set_lease(request.lease());
  std::string before = std::exchange(record.key_value, fixed.SerializeAsString());
  if (watchers_.empty()) return;
  std::string event;
  AppendField(kEventKv, record.key_value, &event);
  if (was_there) AppendField(kEventPrevKv, before, &event);
  Notify(request.key(), event, revision);
}

int64_t BareStore::DeleteAt(const etcdserverpb::DeleteRangeRequest& request, int64_t revision) {
  int64_t deleted = 0;
  auto at = map_.lower_bound(request.key());
  while (at != map_.end() && Covers(request.key(), request.range_end(), at->first)) {
    mvccpb::Event event;
    event.set_type(mvccpb::Event::DELETE);
    event.mutable_kv()->set_key(at->first);
    event.mutable_kv()->set_mod_revision(revision);
    Parse(at->second.key_value, event.mutable_prev_kv());
    if (!watchers_.empty()) Notify(at->first, event.SerializeAsString(), revision);
    at = map_.erase(at);
    ++deleted;
  }
  return deleted;
}

void BareStore::Put(const BareCallPtr& call, absl::string_view message) {
  etcdserverpb::PutRequest request;
  Parse(message, &request);
  KeepForSync(message);
  PutAt(request, ++revision_);
  etcdserverpb::PutResponse response;
  SetHeader(response.mutable_header());
  Answer(call, response);
}

void BareStore::DeleteRange(const BareCallPtr& call, absl::string_view message) {
  etcdserverpb::DeleteRangeRequest request;
  Parse(message, &request);
  etcdserverpb::DeleteRangeResponse response;
  KeepForSync(message);
  response.set_deleted(DeleteAt(request, revision_ + 1));
  if (response.deleted() > 0) ++revision_;
  SetHeader(response.mutable_header());
  Answer(call, response);
}

bool BareStore::Holds(const Compare& compare) const {
  const auto found = map_.find(compare.key());
  const Record none;
  const Record& record = found == map_.end() ? none : found->second;
  switch (compare.target()) {
    case Compare::MOD:
      return record.mod_revision == compare.mod_revision();
    case Compare::CREATE:
      return record.create_revision == compare.create_revision();
    case Compare::VERSION:
      return record.version == compare.version();
    default:
      return false;
  }
}

void BareStore::Txn(const BareCallPtr& call, absl::string_view message) {
  etcdserverpb::TxnRequest request;
  Parse(message, &request);
  etcdserverpb::TxnResponse response;
  response.set_succeeded(std::all_of(request.compare().begin(), request.compare().end(),
                                     [&](const Compare& compare) { return Holds(compare); }));
  const auto& operations = response.succeeded() ? request.success() : request.failure();
  const bool may_change =
      std::any_of(operations.begin(), operations.end(),
                  [](const auto& operation) { return !operation.has_request_range(); });
  if (may_change) KeepForSync(message);
  const int64_t next = revision_ + 1;
  bool has_changed = false;
  for (const auto& operation : operations) {
    auto* result = response.add_responses();
    if (operation.has_request_put()) {
      PutAt(operation.request_put(), next);
      result->mutable_response_put();
      has_changed = true;
    } else if (operation.has_request_delete_range()) {
      const int64_t deleted = DeleteAt(operation.request_delete_range(), next);
      result->mutable_response_delete_range()->set_deleted(deleted);
      has_changed = has_changed || deleted > 0;
    } else {
      Parse(RangeBody(operation.request_range()), result->mutable_response_range());
    }
  }
  if (has_changed) revision_ = next;
  SetHeader(response.mutable_header());
  Answer(call, response);
}

void BareStore::Compact(const BareCallPtr& call, absl::string_view message) {
  etcdserverpb::CompactionRequest request;
  Parse(message, &request);
  if (request.revision() <= compacted_) return call->End(kOutOfRange, kCompactedText);
  if (fault_ != Fault::kIgnoresCompactions) compacted_ = request.revision();
  etcdserverpb::CompactionResponse response;
  SetHeader(response.mutable_header());
  Answer(call, response);
}

void BareStore::Watch(const BareCallPtr& call, absl::string_view message) {
  etcdserverpb::WatchRequest request;
  Parse(message, &request);
  etcdserverpb::WatchResponse response;
  SetHeader(response.mutable_header());
  if (request.has_create_request()) {
    const auto& create = request.create_request();
    int64_t id = 0;
    for (const Watcher& watcher : watchers_) id += watcher.call == call ? 1 : 0;
    watchers_.push_back({call, id, create.key(), create.range_end(), create.prev_kv()});
    response.set_watch_id(id);
    response.set_created(true);
  } else if (request.has_progress_request()) {
    if (fault_ == Fault::kAnswersNoProgress) return;
    response.set_watch_id(-1);
  } else {
    const int64_t id = request.cancel_request().watch_id();
    std::erase_if(watchers_,
                  [&](const Watcher& watcher) { return watcher.call == call && watcher.id == id; });
    response.set_watch_id(id);
    response.set_canceled(true);
  }
  Answer(call, response, false);
}

void BareStore::LeaseGrant(const BareCallPtr& call, absl::string_view message) {
  etcdserverpb::LeaseGrantRequest request;
  Parse(message, &request);
  KeepForSync(message);
  etcdserverpb::LeaseGrantResponse response;
  SetHeader(response.mutable_header());
  response.set_id(request.id() != 0 ? request.id() : next_lease_++);
  response.set_ttl(request.ttl());
  lease_ttls_[response.id()] = request.ttl();
  Answer(call, response);
}

void BareStore::LeaseKeepAlive(const BareCallPtr& call, absl::string_view message) {
  etcdserverpb::LeaseKeepAliveRequest request;
  Parse(message, &request);
  etcdserverpb::LeaseKeepAliveResponse response;
  SetHeader(response.mutable_header());
  response.set_id(request.id());
  response.set_ttl(lease_ttls_[request.id()]);
  Answer(call, response, false);
}

void BareStore::Echo(const BareCallPtr& call, absl::string_view message) {
  std::string body(message);
  Reply(call, Frame(body), true);
}

void BareStore::Status(const BareCallPtr& call, absl::string_view) {
  etcdserverpb::StatusResponse response;
  SetHeader(response.mutable_header());
  response.set_version("3.7.0");
  response.set_leader(1);
  Answer(call, response);
}

}  // namespace tidemark::bench
