#include "tests/sim/sim_watcher.h"

#include "absl/strings/str_cat.h"

namespace tidemark::sim {
namespace {

std::vector<mvccpb::Event> ParseEvents(const mvcc::EventBatch& batch) {
  etcdserverpb::WatchResponse response;
  CHECK(response.ParseFromString(batch.Encoded().Flatten()));
  return {response.events().begin(), response.events().end()};
}

}  // namespace

// The node's end of the stream: lives on the loop executor, dies with the node or the connection.
class SimWatcher::Port : public partition::WatchOutput, public std::enable_shared_from_this<Port> {
 public:
  Port(SimWatcher& client, int64_t connection) : client_(client), connection_(connection) {}

  void Open(const etcdserverpb::WatchCreateRequest& request) {
    stream_ = client_.node_.router().OpenWatch(client_.node_.loop(), *this);
    stream_->Create(request);
  }
  void Close() { stream_.reset(); }
  partition::WatchStream* stream() { return stream_.get(); }

  void OnCreated(int64_t, Revision revision) override {
    Later([revision](SimWatcher& client, int64_t connection) {
      client.OnCreated(connection, revision.value());
    });
  }
  void OnCreateRefused(Revision, absl::string_view reason) override {
    CHECK_MSG(reason == "etcdserver: too many requests", absl::StrCat("watch refused: ", reason));
    Later([](SimWatcher& client, int64_t connection) { client.OnRefused(connection); });
  }
  void OnEvents(int64_t, mvcc::EventBatchPtr batch, Revision revision, bool) override {
    WatchHistory::Item item;
    item.revision = revision.value();
    item.events = ParseEvents(*batch);
    Send(std::move(item));
    ReadLater(batch->encoded_size_bytes());
  }
  void OnCanceled(int64_t, Revision) override {}
  void OnCompacted(int64_t, Revision compact_revision) override {
    WatchHistory::Item item;
    item.compact_revision = compact_revision.value();
    Send(std::move(item));
  }
  void OnProgress(int64_t, Revision revision) override {
    WatchHistory::Item item;
    item.progress = true;
    item.revision = revision.value();
    Send(std::move(item));
  }

 private:
  // In order: a stream is one TCP connection.
  void Later(absl::AnyInvocable<void(SimWatcher&, int64_t)> receive) {
    World& world = client_.world_;
    arrival_ = std::max(
        arrival_ + absl::Nanoseconds(1),
        world.clock().Monotonic() + absl::Microseconds(1 + DrawBelow(world.random(), 1000)));
    world.At(arrival_, [self = shared_from_this(), receive = std::move(receive)]() mutable {
      receive(self->client_, self->connection_);
    });
  }
  void Send(WatchHistory::Item item) {
    Later([item = std::move(item)](SimWatcher& client, int64_t connection) {
      client.OnItem(connection, item);
    });
  }
  // The client takes the bytes from the network some time later, sometimes much later.
  void ReadLater(size_t bytes) {
    World& world = client_.world_;
    const bool slow = DrawOneIn(world.random(), 10);
    const auto delay = absl::Microseconds(1 + DrawBelow(world.random(), slow ? 400000 : 2000));
    client_.node_.loop().PostAt(world.clock().Monotonic() + delay,
                                [weak = weak_from_this(), bytes] {
                                  auto self = weak.lock();
                                  if (self && self->stream_) self->stream_->Consumed(bytes);
                                });
  }

  SimWatcher& client_;
  const int64_t connection_;
  absl::Duration arrival_;
  std::unique_ptr<partition::WatchStream> stream_;
};

SimWatcher::SimWatcher(World& world, SimNode& node, SharedView& view,
                       std::vector<WatchHistory>& histories)
    : world_(world), node_(node), view_(view), histories_(histories) {}

SimWatcher::~SimWatcher() {
  if (port_) port_->Close();
}

etcdserverpb::WatchCreateRequest SimWatcher::DrawRequest() {
  Random& random = world_.random();
  etcdserverpb::WatchCreateRequest request;
  switch (DrawBelow(random, 4)) {
    case 0:
      request.set_key(std::string(1, '\0'));
      request.set_range_end(std::string(1, '\0'));
      break;
    case 1:
      request.set_key("/registry/");
      request.set_range_end("/registry0");
      break;
    case 2:
      request.set_key("/registry/pods/");
      request.set_range_end("/registry/pods0");
      break;
    default:
      request.set_key("/registry/minions/a");
  }
  request.set_prev_kv(DrawOneIn(random, 2));
  if (DrawOneIn(random, 5)) request.add_filters(etcdserverpb::WatchCreateRequest::NODELETE);
  request.set_start_revision(DrawStart());
  return request;
}

// From now on, from anywhere, or from where the history begins.
int64_t SimWatcher::DrawStart() {
  Random& random = world_.random();
  switch (DrawBelow(random, 6)) {
    case 0:
    case 1:
      return static_cast<int64_t>(1 + DrawBelow(random, view_.revision + 3));
    case 2:
      return view_.compacted + static_cast<int64_t>(DrawBelow(random, 3));
    default:
      return 0;
  }
}

void SimWatcher::Begin() {
  request_ = DrawRequest();
  Open();
}

void SimWatcher::OpenLater() {
  const bool slow = DrawOneIn(world_.random(), 4);
  const auto pause = absl::Milliseconds(1 + DrawBelow(world_.random(), slow ? 1000 : 100));
  world_.At(world_.clock().Monotonic() + pause, [this, connection = connection_] {
    if (connection == connection_ && !port_) Open();
  });
}

void SimWatcher::Open() {
  if (ended_) return;
  if (!node_.answering()) {
    OpenLater();
    return;
  }
  histories_.push_back({});
  index_ = histories_.size() - 1;
  history().request = request_;
  port_ = std::make_shared<Port>(*this, ++connection_);
  node_.loop().Post([port = port_, request = request_] { port->Open(request); });
}

void SimWatcher::OnCreated(int64_t connection, int64_t revision) {
  if (connection != connection_) return;
  history().created_revision = revision;
  next_ = std::max(next_, request_.start_revision() > 0 ? request_.start_revision() : revision + 1);
}

void SimWatcher::OnRefused(int64_t connection) {
  if (connection != connection_) return;
  Close();
  OpenLater();
}

void SimWatcher::OnItem(int64_t connection, WatchHistory::Item item) {
  if (connection != connection_) return;
  if (item.compact_revision > 0) {
    history().items.push_back(std::move(item));
    // As clients do: list again and watch from now on, or go on where the history begins.
    const int64_t begin = history().items.back().compact_revision;
    Close();
    request_.set_start_revision(DrawOneIn(world_.random(), 2) ? begin : 0);
    next_ = 0;
    Open();
    return;
  }
  if (item.progress)
    next_ = std::max(next_, item.revision + 1);
  else
    next_ = item.events.back().kv().mod_revision() + 1;
  history().items.push_back(std::move(item));
}

void SimWatcher::Close() {
  if (port_) node_.loop().Post([port = port_] { port->Close(); });
  port_.reset();
  ++connection_;
}

void SimWatcher::WatchSomethingElse() {
  if (!port_ || !node_.answering()) return;
  Close();
  request_ = DrawRequest();
  next_ = 0;
  Open();
}

void SimWatcher::ConnectionLost() {
  if (!port_) return;
  port_->Close();
  port_.reset();
  ++connection_;
  if (next_ > 0) request_.set_start_revision(next_);
  OpenLater();
}

void SimWatcher::End() {
  ended_ = true;
  ConnectionLost();
}

void SimWatcher::AskProgress() {
  if (!port_ || !node_.answering()) return;
  node_.loop().Post([port = port_] {
    if (port->stream() != nullptr) port->stream()->RequestProgress();
  });
}

}  // namespace tidemark::sim
