#include "src/server/services/service_context.h"

#include <optional>
#include <utility>

#include "src/kvstore/etcd_errors.h"
#include "src/server/services/utf8.h"

namespace tidemark::server {
namespace {

constexpr absl::string_view kUnknownVersion = "unknown";

}  // namespace

ServiceContext::ServiceContext(ServiceOptions options, partition::Router& router, Clock& clock,
                               Random& random, CountClient count_client)
    : options_(std::move(options)),
      router_(router),
      clock_(clock),
      random_(random),
      count_client_(std::move(count_client)) {}

void ServiceContext::RefreshTerm() {
  uint64_t seen = router_.Status().term.value();
  uint64_t known = term_.load(std::memory_order_relaxed);
  while (known < seen && !term_.compare_exchange_weak(known, seen)) {
  }
}

// Nearly all clients are of one version: the newest one asked about is found without a lock.
const ServiceContext::Client& ServiceContext::ClientOf(absl::string_view version) {
  const Client* newest = newest_client_.load(std::memory_order_acquire);
  if (newest != nullptr && newest->version == version) return *newest;
  MutexLock lock(&mutex_);
  auto found = clients_.find(version);
  if (found == clients_.end()) {
    const bool fits = clients_.size() < kMaxClientVersions && version.size() <= 64;
    const std::string name(fits || version == kUnknownVersion ? version : "other");
    found = clients_.try_emplace(name, nullptr).first;
    if (found->second == nullptr) {
      found->second = std::make_unique<const Client>(Client{
          name, count_client_(/*stream=*/false, name), count_client_(/*stream=*/true, name)});
    }
  }
  newest_client_.store(found->second.get(), std::memory_order_release);
  return *found->second;
}

absl::Status ServiceContext::Admit(const ServerCall& call, bool stream) {
  const std::optional<absl::string_view> version = call.metadata().Find("client-api-version");
  if (version.has_value() && !IsValidUtf8(*version)) {
    return kvstore::ErrInvalidClientApiVersion();
  }
  if (count_client_) {
    const Client& client = ClientOf(version.value_or(kUnknownVersion));
    (stream ? client.count_stream : client.count_unary)();
  }
  if (call.metadata().Find("hasleader") == "true" && !HasLeader()) {
    RefreshTerm();
    if (!HasLeader()) return kvstore::ErrNoLeader();
  }
  return absl::OkStatus();
}

}  // namespace tidemark::server
