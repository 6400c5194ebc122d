// A server of the echo service alone, to measure the transport without etcd behind it.
//
//   echo_server [PORT] [LOOPS]

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "src/base/posix_clock.h"
#include "src/server/transport/echo_service.h"
#include "src/server/transport/transport.h"

int main(int argc, char** argv) {
  using namespace tidemark::server;
  const tidemark::PosixClock clock;
  TransportOptions options;
  if (argc > 2) options.loop_count = static_cast<size_t>(std::atoi(argv[2]));
  const auto counters = std::make_shared<EchoCounters>();
  Transport transport(clock, options);
  transport.SetMethods(EchoMethods(counters));
  ListenerSpec spec;
  spec.address.host = "127.0.0.1";
  spec.address.port = static_cast<uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
  const auto listener = transport.AddListener(spec);
  if (!listener.ok()) {
    std::fprintf(stderr, "%s\n", listener.status().ToString().c_str());
    return 1;
  }
  transport.Start();
  transport.Accept(*listener);
  std::printf("listening on 127.0.0.1:%d\n", transport.port(*listener));
  transport.Join();
}
