#include "bench/load/caller.h"

#include <optional>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/rpc.grpc.pb.h"
#include "src/base/check.h"

namespace tidemark::load {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::KV;

constexpr int64_t kFillBatch = 100;  // below the default of --max-txn-ops
constexpr absl::Duration kDeadline = absl::Seconds(20);

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::UnknownError(
      absl::StrCat("code ", status.error_code(), ": ", status.error_message()));
}

// Requests are built once; only what differs from one to the next is set before each.
template <class Request, class Response>
class TypedCaller : public Caller {
 public:
  using Reader = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>>;

  TypedCaller(const std::shared_ptr<grpc::Channel>& channel, Dataset* dataset, Share share)
      : kv_(KV::NewStub(channel)), dataset_(dataset), share_(share) {
    CHECK(share_.callers <= dataset_->size());
  }

  void Send(grpc::CompletionQueue* queue) override {
    int64_t owned = (dataset_->size() - share_.number + share_.callers - 1) / share_.callers;
    index_ = share_.number + share_.callers * absl::Uniform<int64_t>(random_, 0, owned);
    Prepare(&request_);
    context_.emplace();
    context_->set_wait_for_ready(true);
    context_->set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
    reader_ = Call(&*context_, request_, queue);
    reader_->Finish(&response_, &status_, static_cast<Caller*>(this));
  }

  absl::Status CheckAnswer() override {
    if (!status_.ok()) return FromGrpc(status_);
    if (IsRight(response_)) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("wrong answer for ", Dataset::Key(index_),
                                            " last changed in revision ", known_revision(), ": ",
                                            response_.ShortDebugString()));
  }

 protected:
  virtual void Prepare(Request* request) = 0;
  virtual Reader Call(grpc::ClientContext* context, const Request& request,
                      grpc::CompletionQueue* queue) = 0;
  virtual bool IsRight(const Response& response) = 0;

  KV::Stub* kv() { return kv_.get(); }
  Request* request() { return &request_; }
  int64_t index() const { return index_; }
  int64_t known_revision() const { return dataset_->mod_revision(index_); }
  bool AdvanceTo(int64_t revision) {
    bool newer = revision > known_revision();
    dataset_->mod_revision(index_) = revision;
    return newer;
  }

 private:
  std::unique_ptr<KV::Stub> kv_;
  Dataset* dataset_;
  const Share share_;
  absl::InsecureBitGen random_;
  int64_t index_ = 0;
  std::optional<grpc::ClientContext> context_;
  Request request_;
  Response response_;
  grpc::Status status_;
  Reader reader_;
};

class PutCaller : public TypedCaller<etcdserverpb::PutRequest, etcdserverpb::PutResponse> {
 public:
  using TypedCaller::TypedCaller;

 private:
  void Prepare(etcdserverpb::PutRequest* request) override {
    request->set_key(Dataset::Key(index()));
    request->set_value(Dataset::Value(index()));
  }
  Reader Call(grpc::ClientContext* context, const etcdserverpb::PutRequest& request,
              grpc::CompletionQueue* queue) override {
    return kv()->AsyncPut(context, request, queue);
  }
  bool IsRight(const etcdserverpb::PutResponse& response) override {
    return AdvanceTo(response.header().revision());
  }
};

class GetCaller : public TypedCaller<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse> {
 public:
  using TypedCaller::TypedCaller;

 private:
  void Prepare(etcdserverpb::RangeRequest* request) override {
    request->set_key(Dataset::Key(index()));
  }
  Reader Call(grpc::ClientContext* context, const etcdserverpb::RangeRequest& request,
              grpc::CompletionQueue* queue) override {
    return kv()->AsyncRange(context, request, queue);
  }
  bool IsRight(const etcdserverpb::RangeResponse& response) override {
    return response.kvs_size() == 1 && response.count() == 1 &&
           response.kvs(0).key() == Dataset::Key(index()) &&
           response.kvs(0).value() == Dataset::Value(index()) &&
           response.kvs(0).mod_revision() == known_revision();
  }
};

class UpdateCaller : public TypedCaller<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse> {
 public:
  UpdateCaller(const std::shared_ptr<grpc::Channel>& channel, Dataset* dataset, Share share)
      : TypedCaller(channel, dataset, share) {
    compare_ = request()->add_compare();
    compare_->set_result(Compare::EQUAL);
    compare_->set_target(Compare::MOD);
    put_ = request()->add_success()->mutable_request_put();
    get_ = request()->add_failure()->mutable_request_range();
  }

 private:
  void Prepare(etcdserverpb::TxnRequest*) override {
    std::string key = Dataset::Key(index());
    compare_->set_key(key);
    compare_->set_mod_revision(known_revision());
    put_->set_key(key);
    put_->set_value(Dataset::Value(index()));
    get_->set_key(key);
  }
  Reader Call(grpc::ClientContext* context, const etcdserverpb::TxnRequest& request,
              grpc::CompletionQueue* queue) override {
    return kv()->AsyncTxn(context, request, queue);
  }
  bool IsRight(const etcdserverpb::TxnResponse& response) override {
    return response.succeeded() && response.responses_size() == 1 &&
           response.responses(0).has_response_put() && AdvanceTo(response.header().revision());
  }

  Compare* compare_;
  etcdserverpb::PutRequest* put_;
  etcdserverpb::RangeRequest* get_;
};

}  // namespace

absl::Status Dataset::Fill(const std::shared_ptr<grpc::Channel>& channel) {
  auto kv = KV::NewStub(channel);
  for (int64_t first = 0; first < size(); first += kFillBatch) {
    int64_t end = std::min(first + kFillBatch, size());
    etcdserverpb::TxnRequest request;
    for (int64_t i = first; i < end; ++i) {
      auto* put = request.add_success()->mutable_request_put();
      put->set_key(Key(i));
      put->set_value(Value(i));
    }
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
    etcdserverpb::TxnResponse response;
    absl::Status status = FromGrpc(kv->Txn(&context, request, &response));
    if (!status.ok()) return status;
    for (int64_t i = first; i < end; ++i) mod_revisions_[i] = response.header().revision();
  }
  return absl::OkStatus();
}

std::string Dataset::Key(int64_t index) {
  return absl::StrFormat("/registry/pods/load/pod-%08d", index);
}

std::string Dataset::Value(int64_t index) {
  std::string value = Key(index);  // an answer for another key is noticed
  value.resize(kValueBytes, 'v');
  return value;
}

std::unique_ptr<Caller> MakeCaller(Workload workload, const std::shared_ptr<grpc::Channel>& channel,
                                   Dataset* dataset, Share share) {
  switch (workload) {
    case Workload::kPut:
      return std::make_unique<PutCaller>(channel, dataset, share);
    case Workload::kGet:
      return std::make_unique<GetCaller>(channel, dataset, share);
    case Workload::kUpdate:
      return std::make_unique<UpdateCaller>(channel, dataset, share);
  }
  Fatal("no such workload");
}

}  // namespace tidemark::load
