// Expected values: what Go's net package documents for Listen ("uses the first IPv4 address" of a
// name) and does for wildcards (favoriteAddrFamily), hence where etcd listens.
#include "src/server/transport/listen_order.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/server/transport/listener.h"

namespace tidemark::server {
namespace {

class ListenOrderTest : public ::testing::Test {
 protected:
  ListenOrderTest() {
    v6_.ai_family = AF_INET6;
    v4_.ai_family = AF_INET;
    v6_.ai_next = &v4_;
  }
  addrinfo v6_{};
  addrinfo v4_{};
};

// The usual hosts file of a machine names ::1 for localhost, too, and the resolver puts it first.
TEST_F(ListenOrderTest, ANameIsItsIpv4Address) {
  EXPECT_EQ(ListenOrder(&v6_, false), (std::vector<const addrinfo*>{&v4_, &v6_}));
  v6_.ai_next = nullptr;
  EXPECT_EQ(ListenOrder(&v6_, false), (std::vector<const addrinfo*>{&v6_}));
}

TEST_F(ListenOrderTest, EveryInterfaceIsBothFamilies) {
  v4_.ai_next = &v6_;
  v6_.ai_next = nullptr;
  EXPECT_EQ(ListenOrder(&v4_, true), (std::vector<const addrinfo*>{&v6_, &v4_}));
}

bool Connects(int family, const sockaddr* address, socklen_t size) {
  const int fd = socket(family, SOCK_STREAM, 0);
  const bool connected = fd >= 0 && connect(fd, address, size) == 0;
  close(fd);
  return connected;
}

TEST_F(ListenOrderTest, BothFamiliesReachAWildcard) {
  ListenAddress loopback;
  loopback.host = "::1";
  const bool has_ipv6 = Listener::Bind(loopback).ok();
  for (const char* host : {"", "0.0.0.0"}) {
    ListenAddress address;
    address.host = host;
    auto listener = Listener::Bind(address);
    ASSERT_TRUE(listener.ok()) << listener.status();
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons((*listener)->port());
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_TRUE(Connects(AF_INET, reinterpret_cast<const sockaddr*>(&v4), sizeof(v4)));
    if (!has_ipv6) continue;
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = v4.sin_port;
    v6.sin6_addr = in6addr_loopback;
    EXPECT_TRUE(Connects(AF_INET6, reinterpret_cast<const sockaddr*>(&v6), sizeof(v6)));
  }
  if (!has_ipv6) {
    GTEST_SKIP()
        << "wildcards are NOT tested over IPv6: this machine has no ::1; use one that does";
  }
}

}  // namespace
}  // namespace tidemark::server
