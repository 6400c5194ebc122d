#include "tests/process/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include <grpcpp/create_channel.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/rpc.grpc.pb.h"
#include "src/base/check.h"

namespace tidemark::process {
namespace {

// Whether nothing listens on the port now.
bool IsFree(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return free;
}

// Below the kernel's ephemeral range, so that no outgoing connection takes the port while the
// server is down between two starts. Test processes that run at once start at different places.
int FreePort() {
  constexpr int kFirst = 12000;
  constexpr int kCount = 20000;
  static int next = getpid() * 37 % kCount;
  for (int tries = 0; tries < kCount; ++tries) {
    next = (next + 1) % kCount;
    if (IsFree(kFirst + next)) return kFirst + next;
  }
  Fatal("no free port");
}

std::string Url(int port) { return absl::StrCat("http://127.0.0.1:", port); }

[[noreturn]] void Exec(const std::vector<std::string>& arguments,
                       const std::vector<std::string>& environment, const std::string& log) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(fd, STDOUT_FILENO);
  dup2(fd, STDERR_FILENO);
  for (const std::string& variable : environment) putenv(const_cast<char*>(variable.c_str()));
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

bool WaitUntil(const std::function<bool()>& condition, absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace

ServerProcess::ServerProcess(ServerOptions options)
    : options_(std::move(options)), client_port_(FreePort()), peer_port_(FreePort()) {
  std::filesystem::create_directories(options_.directory);
  memory_directory_ = absl::StrCat("/dev/shm/tidemark-process-", getpid(), "-", client_port_);
  // etcd only wonders about the variable.
  options_.environment.push_back(absl::StrCat("ETCD_MEMORY_DIR=", memory_directory_));
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) Kill();
  if (!keeps_memory_) RemoveTree(memory_directory_);
}

const std::string& ServerProcess::KeepMemory() {
  keeps_memory_ = true;
  return memory_directory_;
}

void ServerProcess::Start() {
  CHECK(pid_ < 0);
  std::vector<std::string> arguments = {
      options_.binary,
      absl::StrCat("--name=", options_.name),
      absl::StrCat("--data-dir=", data_directory()),
      absl::StrCat("--listen-client-urls=", ClientUrl()),
      absl::StrCat("--advertise-client-urls=", ClientUrl()),
      absl::StrCat("--listen-peer-urls=", Url(peer_port_)),
      absl::StrCat("--initial-advertise-peer-urls=", Url(peer_port_)),
      absl::StrCat("--initial-cluster=", options_.name, "=", Url(peer_port_)),
  };
  if (options_.auto_tls) arguments.push_back("--auto-tls");
  for (const std::string& flag : options_.extra_flags) arguments.push_back(flag);
  pid_ = fork();
  CHECK(pid_ >= 0);
  if (pid_ == 0) Exec(arguments, options_.environment, log_path());
}

bool ServerProcess::WaitReady(absl::Duration limit) {
  absl::Time deadline = absl::Now() + limit;
  while (absl::Now() < deadline) {
    int wait_status = 0;
    if (HasEnded(&wait_status)) return false;
    auto channel = Connect();
    auto stub = etcdserverpb::KV::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(1)));
    // Over all partitions: some may serve before others.
    etcdserverpb::RangeRequest request;
    request.set_key(std::string(1, '\0'));
    request.set_range_end(std::string(1, '\0'));
    request.set_limit(1);
    request.set_keys_only(true);
    etcdserverpb::RangeResponse response;
    if (stub->Range(&context, request, &response).ok()) return true;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return false;
}

void ServerProcess::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

int ServerProcess::Stop(absl::Duration limit) {
  CHECK(pid_ > 0);
  kill(pid_, SIGTERM);
  int wait_status = 0;
  if (WaitEnded(&wait_status, limit)) return wait_status;
  Kill();
  return -1;
}

bool ServerProcess::HasEnded(int* wait_status) {
  if (pid_ < 0) return true;
  if (waitpid(pid_, wait_status, WNOHANG) != pid_) return false;
  pid_ = -1;
  return true;
}

bool ServerProcess::WaitEnded(int* wait_status, absl::Duration limit) {
  return WaitUntil([&] { return HasEnded(wait_status); }, limit);
}

bool ServerProcess::WaitForLog(const std::string& text, absl::Duration limit) const {
  return WaitUntil(
      [&] {
        std::ostringstream log;
        log << std::ifstream(log_path()).rdbuf();
        return absl::StrContains(log.str(), text);
      },
      limit);
}

std::string ServerProcess::ClientUrl() const {
  return options_.auto_tls ? absl::StrCat("https://", endpoint()) : Url(client_port_);
}

std::string ServerProcess::endpoint() const { return absl::StrCat("127.0.0.1:", client_port_); }

absl::Duration ServerProcess::CpuTime() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/stat"));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  int64_t user_ticks = 0;
  int64_t system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  return absl::Seconds(user_ticks + system_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::shared_ptr<grpc::Channel> ServerProcess::Connect() const {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  if (options_.auto_tls) {
    std::ifstream certificate(data_directory() + "/fixtures/client/cert.pem");
    grpc::SslCredentialsOptions trust;
    trust.pem_root_certs.assign(std::istreambuf_iterator<char>(certificate), {});
    return grpc::CreateCustomChannel(endpoint(), grpc::SslCredentials(trust), arguments);
  }
  return grpc::CreateCustomChannel(endpoint(), grpc::InsecureChannelCredentials(), arguments);
}

std::string MakeTestDirectory(const std::string& name) {
  const char* base = std::getenv("TIDEMARK_TEST_DIR");
  std::filesystem::path path = base != nullptr ? base : "/var/tmp";
  path /= absl::StrCat("test-", name, "-", getpid());
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

void RemoveTree(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

}  // namespace tidemark::process
