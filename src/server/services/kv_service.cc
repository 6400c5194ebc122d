// etcdserverpb.KV: each call is one call of the router and one encoding.
#include <utility>

#include "src/server/services/range_reply.h"
#include "src/server/services/range_stream.h"
#include "src/server/services/services.h"
#include "src/server/services/unary_call.h"

namespace tidemark::server {
namespace {

using kvstore::DeleteResult;
using kvstore::PutResult;
using kvstore::RangeResult;
using kvstore::TxnResult;

}  // namespace

void AddKvService(ServiceContext& context, std::vector<Method>& methods) {
  partition::Router& router = context.router();
  methods.push_back(UnaryMethod<etcdserverpb::RangeRequest>(
      context, "/etcdserverpb.KV/Range",
      [&router](const UnaryCallPtr& call, etcdserverpb::RangeRequest&& request, size_t size_bytes) {
        router.Range(call->RouterContext(size_bytes), std::move(request),
                     call->Answer<RangeResult>([](const Header& header, RangeResult& result) {
                       return MakeRangeReply(header, std::move(result));
                     }));
      }));
  methods.push_back(
      {"/etcdserverpb.KV/RangeStream", CallKind::kServerStream,
       [&context](ServerCallPtr call) { return StartRangeStream(context, std::move(call)); }});
  methods.push_back(UnaryMethod<etcdserverpb::PutRequest>(
      context, "/etcdserverpb.KV/Put",
      [&router](const UnaryCallPtr& call, etcdserverpb::PutRequest&& request, size_t size_bytes) {
        router.Put(call->RouterContext(size_bytes), std::move(request),
                   call->Answer<PutResult>([](const Header& header, const PutResult& result) {
                     return EncodePut(header, result);
                   }));
      }));
  methods.push_back(UnaryMethod<etcdserverpb::DeleteRangeRequest>(
      context, "/etcdserverpb.KV/DeleteRange",
      [&router](const UnaryCallPtr& call, etcdserverpb::DeleteRangeRequest&& request,
                size_t size_bytes) {
        router.DeleteRange(
            call->RouterContext(size_bytes), std::move(request),
            call->Answer<DeleteResult>([](const Header& header, const DeleteResult& result) {
              return EncodeDelete(header, result);
            }));
      }));
  methods.push_back(UnaryMethod<etcdserverpb::TxnRequest>(
      context, "/etcdserverpb.KV/Txn",
      [&router](const UnaryCallPtr& call, etcdserverpb::TxnRequest&& request, size_t size_bytes) {
        router.Txn(call->RouterContext(size_bytes), std::move(request),
                   call->Answer<TxnResult>([](const Header& header, const TxnResult& result) {
                     return EncodeTxn(header, result);
                   }));
      }));
  // A physical compaction takes as long as it takes; like etcd, it is not cut off.
  methods.push_back(UnaryMethod<etcdserverpb::CompactionRequest>(
      context, "/etcdserverpb.KV/Compact",
      [&router](const UnaryCallPtr& call, etcdserverpb::CompactionRequest request,
                size_t size_bytes) {
        router.Compact(
            call->RouterContext(size_bytes), std::move(request),
            call->Answer<partition::Nothing>([](const Header& header, const partition::Nothing&) {
              return EncodeHeaderOnly(header);
            }));
      },
      TimeLimit::kNone));
}

}  // namespace tidemark::server
