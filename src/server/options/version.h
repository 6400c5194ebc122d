// What this server calls itself: the etcd it stands in for, and its own number.
#pragma once

#include "absl/strings/string_view.h"

namespace tidemark::server {

// Clients decide by this what they may use (contract 5.1, kubernetes-usage 7).
inline constexpr absl::string_view kEtcdVersion = "3.7.1";
inline constexpr absl::string_view kClusterVersion = "3.7.0";
inline constexpr absl::string_view kStorageVersion = "3.7.0";
inline constexpr absl::string_view kTidemarkVersion = "0.1.0";

}  // namespace tidemark::server
