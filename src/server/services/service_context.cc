#include "src/server/services/service_context.h"

#include "src/kvstore/etcd_errors.h"
#include "src/server/services/utf8.h"

namespace tidemark::server {

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

absl::Status ServiceContext::Admit(const ServerCall& call, bool stream) {
  const std::string* version = call.metadata().Find("client-api-version");
  if (version != nullptr && !IsValidUtf8(*version)) return kvstore::ErrInvalidClientApiVersion();
  if (count_client_) {
    static const std::string kUnknown = "unknown";
    static const std::string kOther = "other";
    const std::string* counted = version == nullptr ? &kUnknown : version;
    if (version != nullptr) {
      MutexLock lock(&mutex_);
      if (!client_versions_.contains(*version)) {
        if (client_versions_.size() < kMaxClientVersions && version->size() <= 64) {
          client_versions_.emplace(*version, true);
        } else {
          counted = &kOther;
        }
      }
    }
    count_client_(stream, *counted);
  }
  const std::string* wants_leader = call.metadata().Find("hasleader");
  if (wants_leader != nullptr && *wants_leader == "true" && !HasLeader()) {
    RefreshTerm();
    if (!HasLeader()) return kvstore::ErrNoLeader();
  }
  return absl::OkStatus();
}

}  // namespace tidemark::server
