#include "src/server/transport/loop_connections.h"

#include <utility>
#include <vector>

namespace tidemark::server {
namespace {

constexpr absl::Duration kMemoryLookInterval = absl::Seconds(1);

}  // namespace

void LoopConnections::Adopt(const ListenerTraits& traits, Accepted accepted) {
  auto connection = std::make_shared<Connection>(
      Connection::Wiring{context_, traits, loop_, memory_, pacer_}, std::move(accepted),
      [this](Connection* closed) { Forget(closed); });
  Connection* raw = connection.get();
  connections_.emplace(raw, std::move(connection));
  raw->Start();
  if (shutting_down_) raw->Close();
  if (!std::exchange(looks_at_memory_, true)) LookAtMemoryLater();
}

bool LoopConnections::CloseOneIdle() {
  Connection* longest = nullptr;
  absl::Duration since;
  for (const auto& [raw, connection] : connections_) {
    const std::optional<absl::Duration> idle_since = raw->idle_since();
    if (!idle_since.has_value() || (longest != nullptr && *idle_since >= since)) continue;
    longest = raw;
    since = *idle_since;
  }
  if (longest == nullptr) return false;
  longest->Close();
  return true;
}

void LoopConnections::LookAtMemoryLater() {
  loop_.PostAt(loop_.now() + kMemoryLookInterval, [this] {
    if (connections_.empty()) {
      looks_at_memory_ = false;
      return;
    }
    if (context_.MemoryIsShort()) {
      std::vector<std::shared_ptr<Connection>> all;
      for (const auto& [raw, connection] : connections_) all.push_back(connection);
      for (const auto& connection : all) connection->OnMemoryShort();
    }
    LookAtMemoryLater();
  });
}

void LoopConnections::Forget(Connection* connection) {
  CHECK(connections_.erase(connection) == 1);
  context_.open_connections.fetch_sub(1);
  EndIfEmpty();
}

// What comes later is closed as it is adopted.
void LoopConnections::EndIfEmpty() {
  if (!shutting_down_ || !connections_.empty()) return;
  if (!std::exchange(ended_, true)) on_ended_();
}

void LoopConnections::BeginShutdown(absl::Duration end) {
  loop_.Post([this] {
    shutting_down_ = true;
    std::vector<std::shared_ptr<Connection>> all;
    for (const auto& [raw, connection] : connections_) all.push_back(connection);
    for (const auto& connection : all) connection->BeginShutdown();
    EndIfEmpty();
  });
  loop_.PostAt(end, [this] { CloseAll(); });
}

void LoopConnections::CloseAll() {
  shutting_down_ = true;  // a timer may overtake what was posted before it
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto& [raw, connection] : connections_) all.push_back(connection);
  for (const auto& connection : all) connection->Close();
  EndIfEmpty();
}

}  // namespace tidemark::server
