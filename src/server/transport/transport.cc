#include "src/server/transport/transport.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/server/transport/loop_connections.h"

namespace tidemark::server {

Transport::Transport(const Clock& clock, TransportOptions options) : clock_(clock) {
  CHECK(options.loop_count > 0);
  context_.options = options;
  for (size_t i = 0; i < options.loop_count; ++i) {
    loops_.push_back(std::make_unique<EventLoop>(clock, absl::StrCat("client-port-", i)));
  }
}

Transport::~Transport() {
  if (!started_) return;
  BeginShutdown(absl::ZeroDuration());
  Join();
}

void Transport::SetMethods(std::vector<Method> methods) {
  CHECK(!started_ && context_.methods.empty());
  context_.methods = std::move(methods);
  for (const Method& method : context_.methods) {
    const bool inserted = context_.method_by_path.emplace(method.path, &method).second;
    CHECK_MSG(inserted, method.path);
    context_.services.insert(method.path.substr(1, method.path.rfind('/') - 1));
  }
}

void Transport::SetHttpHandler(HttpHandler handler) {
  CHECK(!started_);
  context_.http_handler = std::move(handler);
}

void Transport::SetTrafficObserver(TrafficObserver* observer) {
  CHECK(!started_);
  context_.traffic = observer;
}

void Transport::SetBudget(MemoryBudget* budget) {
  CHECK(!started_ && connections_.empty());
  context_.budget = budget;
}

absl::StatusOr<Transport::ListenerId> Transport::AddListener(ListenerSpec spec) {
  CHECK(!started_);
  auto bound = std::make_unique<BoundListener>();
  bound->traits.plaintext = spec.plaintext || !spec.tls.has_value();
  bound->traits.serves_grpc = spec.serves_grpc;
  bound->traits.serves_http = spec.serves_http;
  if (spec.tls.has_value()) {
    auto tls = TlsContext::Create(*std::move(spec.tls));
    if (!tls.ok()) return tls.status();
    bound->traits.tls = *std::move(tls);
  }
  auto listener = Listener::Bind(spec.address);
  if (!listener.ok()) return listener.status();
  bound->listener = *std::move(listener);
  bound->loop = loops_[listeners_.size() % loops_.size()].get();
  listeners_.push_back(std::move(bound));
  return listeners_.size() - 1;
}

uint16_t Transport::port(ListenerId id) const { return listeners_.at(id)->listener->port(); }

void Transport::Start() {
  CHECK(!std::exchange(started_, true));
  // Writes to a connection the client closed are errors, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  loops_with_connections_ = loops_.size();
  for (const auto& loop : loops_) {
    connections_.push_back(
        std::make_unique<LoopConnections>(context_, *loop, [this] { OnLoopEnded(); }));
  }
  for (const auto& loop : loops_) loop->Start();
}

void Transport::Accept(ListenerId id) {
  BoundListener& bound = *listeners_.at(id);
  bound.loop->Post([this, &bound] {
    if (context_.shutting_down.load()) return;
    bound.listener->Start(*bound.loop, [this, &bound](int fd, std::string peer_address) {
      Deal(bound.traits, fd, std::move(peer_address));
    });
  });
}

void Transport::RefuseConnection(int fd, absl::string_view peer_address, absl::string_view why) {
  close(fd);
  LogRefusal(peer_address, why);
}

void Transport::LogRefusal(absl::string_view peer_address, absl::string_view why) {
  const int64_t second = absl::ToInt64Seconds(clock_.Monotonic());
  if (refusal_logged_at_second_.exchange(second) == second) return;
  TLOG(kWarn, absl::StrCat("refused connection: ", why), {{"remote-addr", peer_address}});
}

void Transport::Deal(const ListenerTraits& traits, int fd, std::string peer_address) {
  const bool is_full = context_.open_connections.load() >= context_.options.max_connections;
  if (is_full && !context_.options.replaces_idle_connections) {
    return RefuseConnection(fd, peer_address, "too many are open");
  }
  if (!context_.HasMemory(/*essential=*/true)) {
    context_.budget->CountRefusal(MemoryAccount::kConnections);
    return RefuseConnection(fd, peer_address, "no memory for it");
  }
  context_.open_connections.fetch_add(1);
  const size_t index = next_loop_.fetch_add(1) % loops_.size();
  LoopConnections& target = *connections_[index];
  Accepted accepted{std::make_unique<Socket>(fd), std::move(peer_address),
                    MemoryCharge(*context_.budget, MemoryAccount::kConnections)};
  accepted.charge.Set(Connection::OwnBytes(traits));
  loops_[index]->Post([this, &target, &traits, is_full, accepted = std::move(accepted)]() mutable {
    if (is_full && !target.CloseOneIdle()) {
      context_.open_connections.fetch_sub(1);
      return LogRefusal(accepted.peer_address, "too many are open, and all are being answered");
    }
    context_.accepted_connections.fetch_add(1);
    target.Adopt(traits, std::move(accepted));
  });
}

void Transport::BeginShutdown(absl::Duration grace) {
  if (context_.shutting_down.exchange(true)) return;
  for (const auto& bound : listeners_) {
    bound->loop->Post([&bound] { bound->listener->Close(); });
  }
  const absl::Duration end = clock_.Monotonic() + std::max(grace, absl::ZeroDuration());
  for (const auto& connections : connections_) connections->BeginShutdown(end);
}

// A loop without connections still runs what calls on the other loops wait for: they stop together.
void Transport::OnLoopEnded() {
  const bool is_last = loops_with_connections_.fetch_sub(1) == 1;
  for (const auto& loop : loops_) {
    const bool alone = PLANTED_BUG("transport_loops_stop_alone") && loop->IsCurrent();
    if (is_last || alone) loop->Stop();
  }
}

void Transport::Join() {
  for (const auto& loop : loops_) loop->Join();
}

}  // namespace tidemark::server
