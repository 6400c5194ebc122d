#include "src/server/transport/listener.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <latch>
#include <string>

#include "src/base/posix_clock.h"
#include "src/server/transport/event_loop.h"

namespace tidemark::server {
namespace {

// As etcd's: 30 s, and as often as the kernel does by itself.
TEST(ListenerTest, GoneClientsAreNoticedInMinutes) {
  const PosixClock clock;
  EventLoop loop(clock, "test");
  ListenAddress address;
  address.host = "127.0.0.1";
  auto listener = Listener::Bind(address);
  ASSERT_TRUE(listener.ok()) << listener.status();
  std::latch accepted(1);
  int idle_s = 0;
  int interval_s = 0;
  loop.Start();
  loop.Post([&] {
    (*listener)->Start(loop, [&](int fd, const std::string&) {
      socklen_t size = sizeof(int);
      EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, &size), 0);
      EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, &size), 0);
      close(fd);
      accepted.count_down();
    });
  });
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons((*listener)->port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  accepted.wait();
  close(fd);
  std::latch closed(1);
  loop.Post([&] {
    (*listener)->Close();
    closed.count_down();
  });
  closed.wait();
  loop.Stop();
  loop.Join();
  EXPECT_EQ(idle_s, 30);
  EXPECT_EQ(interval_s, 30);
}

}  // namespace
}  // namespace tidemark::server
