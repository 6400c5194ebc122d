// The server's own certificate for --auto-tls.
//
// Hides OpenSSL and how the pair of files is replaced. Made for the hosts that the server listens
// on and advertises; it is its own authority. Used once, at start.
//
// What a crash leaves: the old pair, the new pair, or a key without its certificate, which the next
// start replaces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "src/base/file_system.h"

namespace tidemark::server {

struct SelfSignedRequest {
  std::string cert_file;
  std::string key_file;            // in the same directory, which is created; mode 0600
  std::vector<std::string> hosts;  // IP addresses and names
  uint64_t validity_years = 1;     // of 365 days, as etcd counts them
};

// Leaves a pair alone that fits together and is valid at `now`; makes a new one otherwise.
absl::Status EnsureSelfSigned(FileSystem& files, const SelfSignedRequest& request, absl::Time now);

}  // namespace tidemark::server
