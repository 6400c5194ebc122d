// Which of a host's addresses a listener takes: what Go's net.Listen takes, and so etcd.
// "localhost" is its first IPv4 address, whatever the hosts file names first; every interface ("",
// "0.0.0.0") is both families where there are both, by one IPv6 socket.
//
// Pure functions.
#pragma once

#include <netdb.h>

#include <string>
#include <vector>

namespace tidemark::server {

inline bool IsEveryInterface(const std::string& host) { return host.empty() || host == "0.0.0.0"; }

// To be tried in this order, the next one only where this machine lacks the family. `found`: by
// getaddrinfo, of no host at all for every interface.
inline std::vector<const addrinfo*> ListenOrder(const addrinfo* found, bool every_interface) {
  const int preferred = every_interface ? AF_INET6 : AF_INET;
  std::vector<const addrinfo*> order;
  for (bool wanted : {true, false}) {
    for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
      if ((a->ai_family == preferred) == wanted) order.push_back(a);
    }
  }
  return order;
}

}  // namespace tidemark::server
