// One connection to one server, and the watches opened through it.
//
// Every call answers with its gRPC status and response message, so that two servers' answers can be
// compared field by field. Bound to the driver's thread (the watch reader has its own inside).
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "proto/rpc.grpc.pb.h"
#include "tests/differential/request_generator.h"

namespace tidemark::differential {

struct Answer {
  grpc::Status status;
  std::unique_ptr<google::protobuf::Message> response;
};

// What one watch of the stream has said, batches cut into single revisions.
struct WatchRecord {
  std::vector<etcdserverpb::WatchResponse> control;  // created, canceled
  std::vector<mvccpb::Event> events;
  // Revisions that arrived in more than one response although no fragment was asked for.
  int split_revisions = 0;
  int64_t last_revision = 0;
};

class WatchSession {
 public:
  explicit WatchSession(std::shared_ptr<grpc::Channel> channel);
  ~WatchSession();

  // Sends, and waits for the answer to the create.
  etcdserverpb::WatchResponse Create(const etcdserverpb::WatchCreateRequest& request);
  // Sends, and waits for the answer if such a watch lives.
  void Cancel(int64_t watch_id);
  // Asks for progress until one answer shows `revision` or more, or no watch is left (a stream
  // without watches gets no answer); false after `limit`.
  bool AwaitProgress(int64_t revision, absl::Duration limit);
  std::map<int64_t, WatchRecord> Take();
  int live_watches() const;
  void AwaitNoWatches(absl::Duration limit);

 private:
  void ReadLoop();

  std::unique_ptr<etcdserverpb::Watch::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<etcdserverpb::WatchRequest, etcdserverpb::WatchResponse>>
      stream_;
  mutable absl::Mutex mutex_;
  std::map<int64_t, WatchRecord> records_ ABSL_GUARDED_BY(mutex_);
  std::vector<etcdserverpb::WatchResponse> created_ ABSL_GUARDED_BY(mutex_);
  int64_t progress_revision_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<int64_t> live_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread reader_;
};

class ServerClient {
 public:
  explicit ServerClient(std::shared_ptr<grpc::Channel> channel);

  Answer Call(const Request& request);
  // All messages of a RangeStream, merged into one RangeResponse.
  Answer RangeStream(const etcdserverpb::RangeRequest& request);
  int64_t CurrentRevision();

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<etcdserverpb::KV::Stub> kv_;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease_;
  std::unique_ptr<etcdserverpb::Maintenance::Stub> maintenance_;
};

}  // namespace tidemark::differential
