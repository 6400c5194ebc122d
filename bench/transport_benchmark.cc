// Unary 1 KiB echoes over one connection: round trips, and the CPU of the server's loop per echo.
//
// The client is a bare nghttp2 session on a blocking socket, so that most of the machine is left
// for the server. The server's CPU is that of its one loop thread.

#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <latch>
#include <memory>
#include <string>
#include <thread>

#include "src/base/check.h"
#include "src/base/posix_clock.h"
#include "src/server/transport/echo_service.h"
#include "src/server/transport/grpc_wire.h"
#include "src/server/transport/transport.h"

namespace tidemark::server {
namespace {

class EchoClient {
 public:
  EchoClient(uint16_t port, std::string path, size_t message_bytes) : path_(std::move(path)) {
    const auto prefix = GrpcPrefix(static_cast<uint32_t>(message_bytes));
    body_.assign(prefix.data(), prefix.size());
    body_.append(message_bytes, 'v');
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    const int one = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t, uint32_t, void* self) {
          ++static_cast<EchoClient*>(self)->completed_;
          return 0;
        });
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20}};
    nghttp2_submit_settings(session_, 0, settings, 1);
    nghttp2_session_set_local_window_size(session_, 0, 0, 16 << 20);
  }
  ~EchoClient() {
    nghttp2_session_del(session_);
    close(fd_);
  }

  // Sends `count` requests at once and waits for all answers.
  void Round(int count) {
    const int64_t goal = completed_ + count;
    for (int i = 0; i < count; ++i) Submit();
    while (completed_ < goal) {
      Flush();
      const ssize_t n = recv(fd_, buffer_, sizeof(buffer_), 0);
      CHECK(n > 0);
      CHECK(nghttp2_session_mem_recv(session_, reinterpret_cast<uint8_t*>(buffer_), n) == n);
    }
  }

 private:
  static nghttp2_nv Header(absl::string_view name, absl::string_view value) {
    return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
            reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
            NGHTTP2_NV_FLAG_NONE};
  }

  void Submit() {
    const nghttp2_nv headers[] = {Header(":method", "POST"),
                                  Header(":scheme", "http"),
                                  Header(":path", path_),
                                  Header(":authority", "127.0.0.1"),
                                  Header("content-type", "application/grpc"),
                                  Header("te", "trailers"),
                                  Header("user-agent", "bench"),
                                  Header("grpc-timeout", "5S")};
    nghttp2_data_provider provider{};
    provider.source.ptr = this;
    provider.read_callback = [](nghttp2_session*, int32_t, uint8_t* out, size_t size,
                                uint32_t* flags, nghttp2_data_source* source, void*) -> ssize_t {
      const std::string& body = static_cast<EchoClient*>(source->ptr)->body_;
      CHECK(size >= body.size());
      body.copy(reinterpret_cast<char*>(out), body.size());
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      return static_cast<ssize_t>(body.size());
    };
    CHECK(nghttp2_submit_request(session_, nullptr, headers, std::size(headers), &provider,
                                 nullptr) > 0);
  }

  void Flush() {
    out_.clear();
    const uint8_t* bytes = nullptr;
    ssize_t n = 0;
    while ((n = nghttp2_session_mem_send(session_, &bytes)) > 0) {
      out_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
    }
    if (!out_.empty()) CHECK(send(fd_, out_.data(), out_.size(), 0) == ssize_t(out_.size()));
  }

  const std::string path_;
  std::string body_;
  std::string out_;
  int fd_;
  nghttp2_session* session_ = nullptr;
  int64_t completed_ = 0;
  char buffer_[256 << 10];
};

class Server {
 public:
  Server() : counters_(std::make_shared<EchoCounters>()), transport_(clock_, TransportOptions()) {
    transport_.SetMethods(EchoMethods(counters_));
    ListenerSpec spec;
    spec.address.host = "127.0.0.1";
    const auto listener = transport_.AddListener(spec);
    CHECK(listener.ok());
    transport_.Start();
    transport_.Accept(*listener);
    std::latch known(1);
    transport_.loop(0).Post([&] {
      CHECK(pthread_getcpuclockid(pthread_self(), &cpu_clock_) == 0);
      known.count_down();
    });
    known.wait();
  }
  ~Server() {
    transport_.BeginShutdown(absl::ZeroDuration());
    transport_.Join();
    counters_->worker.Stop();
  }
  uint16_t port() const { return transport_.port(0); }
  double LoopCpuSeconds() const {
    timespec now{};
    clock_gettime(cpu_clock_, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }

 private:
  const PosixClock clock_;
  const std::shared_ptr<EchoCounters> counters_;
  Transport transport_;
  clockid_t cpu_clock_{};
};

void Echo(benchmark::State& state, const char* path) {
  Server server;
  EchoClient client(server.port(), path, 1024);
  const int streams = static_cast<int>(state.range(0));
  client.Round(1);  // learns the server's windows
  client.Round(streams);
  const double before = server.LoopCpuSeconds();
  for (auto _ : state) client.Round(streams);
  const double calls = static_cast<double>(state.iterations()) * streams;
  state.counters["server_cpu_us_per_call"] = (server.LoopCpuSeconds() - before) * 1e6 / calls;
  state.counters["calls_per_second"] = benchmark::Counter(calls, benchmark::Counter::kIsRate);
}

void BM_UnaryEcho(benchmark::State& state) { Echo(state, "/test.Echo/Unary"); }
BENCHMARK(BM_UnaryEcho)->Arg(1)->Arg(8)->Arg(64)->UseRealTime();

// The answer comes from another thread, as from a replica.
void BM_UnaryEchoFromThread(benchmark::State& state) { Echo(state, "/test.Echo/Threaded"); }
BENCHMARK(BM_UnaryEchoFromThread)->Arg(1)->Arg(64)->UseRealTime();

}  // namespace
}  // namespace tidemark::server
