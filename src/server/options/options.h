// What tidemark was asked to do: typed, checked options.
//
// Hides the flags' texts, their defaults that depend on each other, and the rules between them
// (contract 10). Immutable after BuildOptions.
//
// Invariants of a built Options:
//  1. Every URL list that must not be empty is not; listen URLs are bindable.
//  2. The initial cluster holds this member, with its advertised peer URLs, and nobody else.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "src/server/options/flag_sources.h"
#include "src/server/options/url.h"

namespace tidemark::server {

struct TlsFlags {
  // --auto-tls: the files below are made at start, for the URLs' hosts.
  bool self_signed = false;
  uint64_t self_signed_validity_years = 0;
  std::string cert_file;
  std::string key_file;
  std::string trusted_ca_file;
  std::string crl_file;
  bool client_cert_auth = false;
  std::vector<std::string> allowed_hostnames;
  std::vector<std::string> cipher_suites;  // Go's names, known ones
  std::string min_version;                 // "TLS1.2" or "TLS1.3"
  std::string max_version;                 // the same, or empty
};

struct CompactionOptions {
  enum class Mode { kOff, kPeriodic, kRevision };
  Mode mode = Mode::kOff;
  absl::Duration retention;
  int64_t retention_revisions = 0;
};

struct LogOptions {
  std::string level;  // debug, info, warn, error, dpanic, panic, fatal
  bool json = true;
  std::vector<std::string> outputs;  // "stdout", "stderr", files
};

struct Options {
  std::string name;
  std::string data_dir;
  std::string wal_dir;  // empty: below data_dir

  std::vector<Url> listen_client_urls;
  std::vector<Url> listen_client_http_urls;
  std::vector<Url> listen_metrics_urls;
  std::vector<Url> listen_peer_urls;
  std::vector<Url> advertise_client_urls;
  std::vector<Url> initial_advertise_peer_urls;
  std::string initial_cluster_token;
  TlsFlags client_tls;

  absl::Duration heartbeat_interval;
  absl::Duration election_timeout;
  int64_t quota_bytes = 0;  // as configured: 0 is the default quota, negative none
  uint64_t max_txn_ops = 0;
  uint64_t max_request_bytes = 0;
  uint32_t max_concurrent_streams = 0;
  absl::Duration keepalive_min_time;
  absl::Duration keepalive_interval;  // zero: off
  absl::Duration keepalive_timeout;   // zero: off
  bool socket_reuse_port = false;
  bool enable_grpc_gateway = true;
  std::vector<std::string> cors;
  std::vector<std::string> host_whitelist;

  CompactionOptions compaction;
  absl::Duration watch_progress_notify_interval;
  absl::Duration warning_unary_request_duration;
  absl::Duration warning_apply_duration;
  bool extensive_metrics = false;
  std::map<std::string, bool> feature_gates;
  LogOptions log;

  std::string partitions;  // text of --partitions; empty: default
  std::string partitions_file;
  bool single_partition = false;
  std::string memory_dir;  // empty: by the data directory
  bool allow_anonymous_memory = false;
  uint64_t memory_budget_bytes = 0;  // 0: by the machine
  uint64_t event_loops = 0;          // 0: by the machine
  uint64_t store_threads = 0;
  uint64_t journal_segment_bytes = 0;
  bool journal_direct_writes = true;
  uint64_t checkpoint_journal_bytes = 0;
  absl::Duration checkpoint_interval;
  bool unsafe_no_fsync = false;

  FlagValues flags;                   // as given, for the echo in the log
  std::vector<std::string> warnings;  // to be logged once logging works

  // Least lease time: etcd's ceil(3/2 * election ticks * heartbeat).
  int64_t min_lease_ttl_seconds() const;
  // Time that a unary request may take: 5 s + 2 election timeouts.
  absl::Duration request_timeout() const { return absl::Seconds(5) + 2 * election_timeout; }
};

// The initial-* flags are checked by CheckInitialCluster, since a restart ignores them.
absl::StatusOr<Options> BuildOptions(FlagValues flags, std::vector<std::string> warnings);

// For a fresh data directory.
absl::Status CheckInitialCluster(const Options& options);

}  // namespace tidemark::server
