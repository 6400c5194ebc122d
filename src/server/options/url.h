// The URLs of listeners and members, with etcd's rules of what may be written there.
//
// Hides the syntax: http, https with host:port and no path; unix, unixs with a path.
// Immutable values.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tidemark::server {

struct Url {
  std::string text;    // as written, without surrounding blanks
  std::string scheme;  // http, https, unix, unixs
  std::string host;    // without brackets; of unix URLs empty
  int port = 0;
  std::string path;  // of unix URLs: the socket's file

  bool tls() const { return scheme == "https" || scheme == "unixs"; }
  bool is_unix() const { return scheme == "unix" || scheme == "unixs"; }
  std::string address() const;  // "host:port", "[::1]:2379" or the socket's file
  friend bool operator==(const Url& a, const Url& b) { return a.text == b.text; }
};

absl::StatusOr<Url> ParseUrl(absl::string_view text);
// Comma separated; the list is sorted as etcd does. An empty text gives an empty list.
absl::StatusOr<std::vector<Url>> ParseUrls(absl::string_view text);

// "10.0.0.1", "::1"; not a name.
bool IsIpLiteral(const std::string& host);

// Listeners want an address of this machine: an IP or localhost.
absl::Status CheckBindUrls(const std::vector<Url>& urls);
// Others must be able to use an advertised URL.
absl::Status CheckAdvertiseUrls(const std::vector<Url>& urls);

std::string JoinUrls(const std::vector<Url>& urls);  // comma separated

}  // namespace tidemark::server
