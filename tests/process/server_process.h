// A server binary (tidemark or etcd: the flags are the same) run as a child process of a test.
//
// Hides ports, directories, waiting for readiness and signals. Bound to one thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "absl/time/time.h"

namespace tidemark::process {

struct ServerOptions {
  std::string binary;
  std::string name = "default";
  std::string directory;                 // created; holds data/ and the log
  std::vector<std::string> extra_flags;  // after ours, so they win
  bool auto_tls = false;  // https with a certificate that the server makes, and we trust
  std::vector<std::string> environment;  // "NAME=value", beside the inherited one
};

class ServerProcess {
 public:
  // Chooses free loopback ports; they stay the same over restarts.
  explicit ServerProcess(ServerOptions options);
  // Kills, and removes what the server left on tmpfs.
  ~ServerProcess();
  // Leaves it there, for a failure that shall be looked at; returns where.
  const std::string& KeepMemory();

  void Start();
  // Returns once a read over all keys is answered; false when the process ended or time ran out.
  bool WaitReady(absl::Duration limit = absl::Seconds(30));
  void Kill();  // SIGKILL and reaped
  int Stop(
      absl::Duration limit = absl::Seconds(20));  // SIGTERM; exit status, -1 when it was killed
  // The exit status if it has ended by itself.
  bool HasEnded(int* wait_status);
  // The same, and that its log says something, waited for; false when time ran out.
  bool WaitEnded(int* wait_status, absl::Duration limit = absl::Seconds(20));
  bool WaitForLog(const std::string& text, absl::Duration limit = absl::Seconds(20)) const;

  std::string endpoint() const;
  std::string data_directory() const { return options_.directory + "/data"; }
  const std::string& memory_directory() const { return memory_directory_; }  // on tmpfs
  std::string log_path() const { return options_.directory + "/log"; }
  pid_t pid() const { return pid_; }
  // User and system time used so far by the running process.
  absl::Duration CpuTime() const;
  // A fresh connection (nothing shared with earlier channels).
  std::shared_ptr<grpc::Channel> Connect() const;

 private:
  std::string ClientUrl() const;

  ServerOptions options_;
  std::string memory_directory_;  // on tmpfs
  bool keeps_memory_ = false;
  int client_port_;
  int peer_port_;
  pid_t pid_ = -1;
};

// A directory under $TIDEMARK_TEST_DIR (else /var/tmp), never tmpfs on purpose: crash tests belong
// on a real disk. Not the current one: a test that is killed leaves it behind. Removed by the
// caller.
std::string MakeTestDirectory(const std::string& name);
void RemoveTree(const std::string& path);

}  // namespace tidemark::process
