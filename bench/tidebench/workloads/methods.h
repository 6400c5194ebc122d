// The paths of the methods that are called.
#pragma once

#include "absl/strings/string_view.h"

namespace tidemark::bench {

inline constexpr absl::string_view kPutMethod = "/etcdserverpb.KV/Put";
inline constexpr absl::string_view kRangeMethod = "/etcdserverpb.KV/Range";
inline constexpr absl::string_view kRangeStreamMethod = "/etcdserverpb.KV/RangeStream";
inline constexpr absl::string_view kTxnMethod = "/etcdserverpb.KV/Txn";
inline constexpr absl::string_view kCompactMethod = "/etcdserverpb.KV/Compact";
inline constexpr absl::string_view kWatchMethod = "/etcdserverpb.Watch/Watch";
inline constexpr absl::string_view kGrantMethod = "/etcdserverpb.Lease/LeaseGrant";
inline constexpr absl::string_view kKeepAliveMethod = "/etcdserverpb.Lease/LeaseKeepAlive";
inline constexpr absl::string_view kEchoMethod = "/test.Echo/Unary";

}  // namespace tidemark::bench
