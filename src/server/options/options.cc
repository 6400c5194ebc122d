#include "src/server/options/options.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "src/base/check.h"
#include "src/server/options/feature_gates.h"
#include "src/server/options/flag_table.h"

namespace tidemark::server {
namespace {

// Readers of values whose texts were checked when they were parsed.
bool Bool(const FlagValues& flags, absl::string_view name) {
  return ParseGoBool(flags.Get(name)).value();
}
int64_t Int(const FlagValues& flags, absl::string_view name) {
  return ParseGoInt(flags.Get(name)).value();
}
uint64_t Uint(const FlagValues& flags, absl::string_view name) {
  return ParseGoUint(flags.Get(name)).value();
}
absl::Duration DurationOf(absl::string_view text) {
  absl::Duration value;
  CHECK_MSG(absl::ParseDuration(text, &value), text);
  return value;
}
absl::Duration Duration(const FlagValues& flags, absl::string_view name) {
  return DurationOf(flags.Get(name));
}
std::vector<std::string> List(const FlagValues& flags, absl::string_view name) {
  std::vector<std::string> items;
  for (absl::string_view item : absl::StrSplit(flags.Get(name), ',', absl::SkipWhitespace())) {
    items.emplace_back(absl::StripAsciiWhitespace(item));
  }
  return items;
}

bool IsDefault(const FlagSpec& spec, const std::string& value) {
  switch (spec.type) {
    case FlagType::kBool:
      return *ParseGoBool(value) == *ParseGoBool(spec.default_value);
    case FlagType::kInt:
      return *ParseGoInt(value) == *ParseGoInt(spec.default_value);
    case FlagType::kUint:
      return *ParseGoUint(value) == *ParseGoUint(spec.default_value);
    case FlagType::kDuration:
      return DurationOf(value) == DurationOf(spec.default_value);
    case FlagType::kString:
      return value == spec.default_value;
  }
  return false;
}

// The table's verdicts on values that were set.
absl::Status ApplyVerdicts(Options& options) {
  for (const auto& [name, value] : options.flags.values()) {
    const FlagSpec* spec = FindFlag(name);
    CHECK_MSG(spec != nullptr, name);
    if (name == "max-snapshots") {
      options.warnings.push_back(
          "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8");
    }
    if (name == "v2-deprecation") {
      options.warnings.push_back(
          "--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is "
          "enforced, ignoring user input");
      continue;
    }
    if (name == "bootstrap-defrag-threshold-megabytes") {
      options.warnings.push_back("Skipping defragmentation");
      continue;
    }
    if (IsDefault(*spec, value)) continue;
    if (spec->verdict == Verdict::kRefuse) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, " is not supported by this version of Tidemark: ", spec->help));
    }
    if (spec->verdict == Verdict::kIgnore) {
      options.warnings.push_back(absl::StrCat("flag --", name, " has no effect in Tidemark"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadUrls(const FlagValues& flags, absl::string_view name, std::vector<Url>& out) {
  absl::StatusOr<std::vector<Url>> urls = ParseUrls(flags.Get(name));
  if (!urls.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "invalid value \"", flags.Get(name), "\" for flag -", name, ": ", urls.status().message()));
  }
  out = *std::move(urls);
  return absl::OkStatus();
}

absl::Status BuildUrls(Options& o) {
  struct {
    absl::string_view name;
    std::vector<Url>* urls;
    bool needed;
    bool bind;
  } lists[] = {
      {"listen-peer-urls", &o.listen_peer_urls, true, true},
      {"listen-client-urls", &o.listen_client_urls, true, true},
      {"listen-client-http-urls", &o.listen_client_http_urls, false, true},
      {"listen-metrics-urls", &o.listen_metrics_urls, false, true},
      {"initial-advertise-peer-urls", &o.initial_advertise_peer_urls, true, false},
      {"advertise-client-urls", &o.advertise_client_urls, true, false},
  };
  for (auto& list : lists) {
    if (absl::Status s = ReadUrls(o.flags, list.name, *list.urls); !s.ok()) return s;
    if (list.needed && list.urls->empty()) {
      return absl::InvalidArgumentError(absl::StrCat("--", list.name, " must not be empty"));
    }
    absl::Status s = list.bind ? CheckBindUrls(*list.urls) : CheckAdvertiseUrls(*list.urls);
    if (!s.ok()) return s;
  }
  if (o.flags.IsSet("listen-client-urls") && !o.flags.IsSet("advertise-client-urls")) {
    return absl::InvalidArgumentError(
        "--advertise-client-urls is required when --listen-client-urls is set explicitly");
  }
  for (const Url& url : o.listen_client_http_urls) {
    auto& grpc = o.listen_client_urls;
    if (std::find(grpc.begin(), grpc.end(), url) != grpc.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--listen-client-http-urls and --listen-client-urls must not share a URL: ", url.text));
    }
  }
  return absl::OkStatus();
}

// Names that etcd takes, of ciphers that no OpenSSL of today offers.
void DropBrokenCipherSuites(std::vector<std::string>& suites, std::vector<std::string>& warnings) {
  static constexpr absl::string_view kBroken[] = {
      "TLS_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
      "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
      "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"};
  const auto is_broken = [](const std::string& suite) {
    return std::find(std::begin(kBroken), std::end(kBroken), suite) != std::end(kBroken);
  };
  // Nothing left would mean every suite.
  if (std::all_of(suites.begin(), suites.end(), is_broken)) return;
  for (const std::string& suite : suites) {
    if (!is_broken(suite)) continue;
    warnings.push_back(absl::StrCat("TLS cipher suite ", suite, " is broken and not offered"));
  }
  std::erase_if(suites, is_broken);
}

absl::Status CheckCipherSuites(const TlsFlags& tls) {
  static constexpr absl::string_view kKnown[] = {"TLS_RSA_WITH_AES_128_CBC_SHA",
                                                 "TLS_RSA_WITH_AES_256_CBC_SHA",
                                                 "TLS_RSA_WITH_AES_128_GCM_SHA256",
                                                 "TLS_RSA_WITH_AES_256_GCM_SHA384",
                                                 "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
                                                 "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
                                                 "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
                                                 "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
                                                 "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                                                 "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                                                 "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                                                 "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                                                 "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
                                                 "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
                                                 "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                                                 "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
                                                 "TLS_RSA_WITH_AES_128_CBC_SHA256",
                                                 "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
                                                 "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
                                                 "TLS_AES_128_GCM_SHA256",
                                                 "TLS_AES_256_GCM_SHA384",
                                                 "TLS_CHACHA20_POLY1305_SHA256"};
  for (const std::string& suite : tls.cipher_suites) {
    if (std::find(std::begin(kKnown), std::end(kKnown), suite) == std::end(kKnown)) {
      return absl::InvalidArgumentError(
          absl::StrCat("unexpected TLS cipher suite \"", suite, "\""));
    }
  }
  if (!tls.cipher_suites.empty() && tls.min_version == "TLS1.3") {
    return absl::InvalidArgumentError(
        "cipher suites cannot be configured when only TLS1.3 is enabled");
  }
  return absl::OkStatus();
}

// Without files of its own the server makes some, where etcd does.
absl::Status BuildAutoTls(Options& o) {
  constexpr uint64_t kYearsMax = 1000;
  TlsFlags& tls = o.client_tls;
  if (!Bool(o.flags, "auto-tls")) return absl::OkStatus();
  if (!tls.cert_file.empty() || !tls.key_file.empty()) {
    o.warnings.push_back("ignoring client auto TLS since certs given");
    return absl::OkStatus();
  }
  tls.self_signed_validity_years = Uint(o.flags, "self-signed-cert-validity");
  if (tls.self_signed_validity_years == 0 || tls.self_signed_validity_years > kYearsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("--self-signed-cert-validity must be between 1 and ", kYearsMax, " years"));
  }
  tls.self_signed = true;
  tls.cert_file = absl::StrCat(o.data_dir, "/fixtures/client/cert.pem");
  tls.key_file = absl::StrCat(o.data_dir, "/fixtures/client/key.pem");
  return absl::OkStatus();
}

absl::Status BuildTls(Options& o) {
  TlsFlags& tls = o.client_tls;
  tls.cert_file = o.flags.Get("cert-file");
  tls.key_file = o.flags.Get("key-file");
  tls.trusted_ca_file = o.flags.Get("trusted-ca-file");
  tls.crl_file = o.flags.Get("client-crl-file");
  tls.client_cert_auth = Bool(o.flags, "client-cert-auth");
  tls.allowed_hostnames = List(o.flags, "client-cert-allowed-hostname");
  tls.cipher_suites = List(o.flags, "cipher-suites");
  tls.min_version = o.flags.Get("tls-min-version");
  tls.max_version = o.flags.Get("tls-max-version");
  if (tls.min_version.empty()) tls.min_version = "TLS1.2";
  for (const std::string& version : {tls.min_version, tls.max_version}) {
    if (version.empty() || version == "TLS1.2" || version == "TLS1.3") continue;
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected TLS version \"", version, "\" (must be one of: TLS1.2, TLS1.3)"));
  }
  if (!tls.max_version.empty() && tls.min_version > tls.max_version) {
    return absl::InvalidArgumentError(absl::StrCat(
        "min version (", tls.min_version, ") is greater than max version (", tls.max_version, ")"));
  }
  DropBrokenCipherSuites(tls.cipher_suites, o.warnings);
  if (absl::Status s = CheckCipherSuites(tls); !s.ok()) return s;
  if (absl::Status s = BuildAutoTls(o); !s.ok()) return s;
  bool have_pair = !tls.cert_file.empty() && !tls.key_file.empty();
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    return absl::InvalidArgumentError("--cert-file and --key-file must be given together");
  }
  for (const auto* urls : {&o.listen_client_urls, &o.listen_client_http_urls}) {
    for (const Url& url : *urls) {
      if (url.tls() && !have_pair) {
        return absl::InvalidArgumentError(
            absl::StrCat("TLS key/cert (--cert-file, --key-file) must be provided for client url ",
                         url.text, " with HTTPS scheme"));
      }
      if (!url.tls() && have_pair) {
        o.warnings.push_back(absl::StrCat("The scheme of client url ", url.text,
                                          " is http while TLS files are given; they are ignored"));
      }
    }
  }
  for (const Url& url : o.listen_metrics_urls) {
    if (url.tls() && !have_pair) {
      return absl::InvalidArgumentError(
          "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url");
    }
  }
  return absl::OkStatus();
}

absl::Status BuildTimes(Options& o) {
  uint64_t heartbeat_ms = Uint(o.flags, "heartbeat-interval");
  uint64_t election_ms = Uint(o.flags, "election-timeout");
  if (heartbeat_ms == 0) return absl::InvalidArgumentError("--heartbeat-interval must be >0");
  if (election_ms == 0) return absl::InvalidArgumentError("--election-timeout must be >0");
  if (heartbeat_ms > 50000 || 5 * heartbeat_ms > election_ms) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--election-timeout[", election_ms,
        "ms] should be at least as 5 times as --heartbeat-interval[", heartbeat_ms, "ms]"));
  }
  if (election_ms > 50000) {
    return absl::InvalidArgumentError(
        absl::StrCat("--election-timeout[", election_ms,
                     "ms] is too long, and should be set less than 50000ms"));
  }
  o.heartbeat_interval = absl::Milliseconds(heartbeat_ms);
  o.election_timeout = absl::Milliseconds(election_ms);
  o.keepalive_min_time = Duration(o.flags, "grpc-keepalive-min-time");
  o.keepalive_interval = Duration(o.flags, "grpc-keepalive-interval");
  o.keepalive_timeout = Duration(o.flags, "grpc-keepalive-timeout");
  o.warning_unary_request_duration = Duration(o.flags, "warning-unary-request-duration");
  if (o.warning_unary_request_duration == absl::ZeroDuration()) {
    o.warning_unary_request_duration = absl::Milliseconds(300);  // etcd's rule
  }
  o.warning_apply_duration = Duration(o.flags, "warning-apply-duration");
  o.watch_progress_notify_interval = Duration(o.flags, "watch-progress-notify-interval");
  if (o.watch_progress_notify_interval <= absl::ZeroDuration()) {
    o.watch_progress_notify_interval = absl::Minutes(10);
  }
  o.watch_progress_notify_interval =
      std::max(o.watch_progress_notify_interval, absl::Milliseconds(100));
  if (Duration(o.flags, "compact-hash-check-time") <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("--compact-hash-check-time must be >0 (set to 0)");
  }
  return absl::OkStatus();
}

absl::Status BuildCompaction(Options& o) {
  std::string mode = o.flags.Get("auto-compaction-mode");
  std::string text = o.flags.Get("auto-compaction-retention");
  if (mode.empty()) mode = "periodic";
  if (text.empty()) text = "0";
  absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("invalid value \"", text, "\" for --auto-compaction-retention"));
  int64_t number = 0;
  bool is_number = absl::SimpleAtoi(text, &number);
  if (is_number && number < 0) return bad;
  if (mode == "revision") {
    if (!is_number) return bad;
    o.compaction.retention_revisions = number;
    if (number > 0) o.compaction.mode = CompactionOptions::Mode::kRevision;
    return absl::OkStatus();
  }
  if (mode != "periodic") {
    return absl::InvalidArgumentError(absl::StrCat("unknown auto-compaction-mode \"", mode, "\""));
  }
  if (is_number) {
    o.compaction.retention = absl::Hours(number);
  } else if (!absl::ParseDuration(text, &o.compaction.retention) ||
             o.compaction.retention < absl::ZeroDuration() ||
             o.compaction.retention == absl::InfiniteDuration()) {
    return bad;
  }
  if (o.compaction.retention > absl::ZeroDuration()) {
    o.compaction.mode = CompactionOptions::Mode::kPeriodic;
  }
  return absl::OkStatus();
}

absl::Status BuildFeatureGates(Options& o) {
  absl::StatusOr<std::map<std::string, bool>> gates =
      ParseFeatureGates(List(o.flags, "feature-gates"));
  if (!gates.ok()) return gates.status();
  o.feature_gates = *std::move(gates);
  return absl::OkStatus();
}

absl::Status BuildLogging(Options& o) {
  if (std::string logger = o.flags.Get("logger"); logger != "zap") {
    return absl::InvalidArgumentError(absl::StrCat("unknown logger option \"", logger, "\""));
  }
  static const std::set<std::string> kLevels = {"debug",  "info",  "warn", "error",
                                                "dpanic", "panic", "fatal"};
  o.log.level = absl::AsciiStrToLower(o.flags.Get("log-level"));
  if (o.log.level == "warning") o.log.level = "warn";
  if (kLevels.count(o.log.level) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("unrecognized level: \"", o.log.level, "\""));
  }
  std::string format = o.flags.Get("log-format");
  if (format != "json" && format != "console") {
    return absl::InvalidArgumentError(absl::StrCat("unknown log format: \"", format, "\""));
  }
  o.log.json = format == "json";
  for (const std::string& output : List(o.flags, "log-outputs")) {
    std::string plain = output == "default" ? "stderr" : output;
    if (plain == "systemd/journal") {
      o.warnings.push_back("log output systemd/journal is not supported; using stderr");
      plain = "stderr";
    }
    if (std::find(o.log.outputs.begin(), o.log.outputs.end(), plain) == o.log.outputs.end()) {
      o.log.outputs.push_back(plain);
    }
  }
  if (o.log.outputs.empty()) return absl::InvalidArgumentError("--log-outputs must not be empty");
  return absl::OkStatus();
}

absl::Status BuildLimits(Options& o) {
  o.quota_bytes = Int(o.flags, "quota-backend-bytes");
  o.max_txn_ops = Uint(o.flags, "max-txn-ops");
  o.max_request_bytes = Uint(o.flags, "max-request-bytes");
  if (o.max_request_bytes == 0 || o.max_request_bytes > (uint64_t{1} << 30)) {
    return absl::InvalidArgumentError("--max-request-bytes must be between 1 and 1073741824");
  }
  if (o.max_request_bytes > 10 * 1024 * 1024) {
    o.warnings.push_back("exceeded recommended request limit of 10 MiB");
  }
  if (o.quota_bytes > int64_t{8} * 1024 * 1024 * 1024) {
    o.warnings.push_back("quota exceeds the 8 GiB that etcd recommends");
  }
  uint64_t streams = Uint(o.flags, "max-concurrent-streams");
  if (streams == 0 || streams > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError("--max-concurrent-streams must be in 1..4294967295");
  }
  o.max_concurrent_streams = static_cast<uint32_t>(streams);
  o.socket_reuse_port = Bool(o.flags, "socket-reuse-port");
  o.enable_grpc_gateway = Bool(o.flags, "enable-grpc-gateway");
  o.cors = List(o.flags, "cors");
  o.host_whitelist = List(o.flags, "host-whitelist");
  std::string metrics = o.flags.Get("metrics");
  if (metrics != "basic" && metrics != "extensive") {
    return absl::InvalidArgumentError(absl::StrCat("unknown --metrics \"", metrics, "\""));
  }
  o.extensive_metrics = metrics == "extensive";
  return absl::OkStatus();
}

absl::Status BuildOwn(Options& o) {
  o.partitions = o.flags.Get("partitions");
  o.partitions_file = o.flags.Get("partitions-file");
  o.single_partition = Bool(o.flags, "single-partition");
  if (o.single_partition + !o.partitions.empty() + !o.partitions_file.empty() > 1) {
    return absl::InvalidArgumentError(
        "only one of --partitions, --partitions-file and --single-partition may be set");
  }
  o.memory_dir = o.flags.Get("memory-dir");
  o.allow_anonymous_memory = Bool(o.flags, "allow-anonymous-memory");
  o.memory_budget_bytes = Uint(o.flags, "memory-budget-bytes");
  if (o.memory_budget_bytes != 0 &&
      (o.memory_budget_bytes < (64u << 20) || o.memory_budget_bytes > (uint64_t{1} << 50))) {
    return absl::InvalidArgumentError("--memory-budget-bytes is 0 or at least 67108864");
  }
  std::vector<std::string> roles = List(o.flags, "roles");
  std::sort(roles.begin(), roles.end());
  std::vector<std::string> every = {"journal", "router", "store"};
  if (roles != std::vector<std::string>{"all"} && roles != every) {
    return absl::InvalidArgumentError(
        absl::StrCat("--roles \"", o.flags.Get("roles"),
                     "\": this version of Tidemark runs all roles in one process; use \"all\""));
  }
  o.event_loops = Uint(o.flags, "event-loops");
  o.store_threads = Uint(o.flags, "store-threads");
  if (o.event_loops > 1024 || o.store_threads > 1024) {
    return absl::InvalidArgumentError("--event-loops and --store-threads are at most 1024");
  }
  o.unsafe_no_fsync = Bool(o.flags, "unsafe-no-fsync");
  if (o.unsafe_no_fsync) {
    o.warnings.push_back(
        "--unsafe-no-fsync disables fsync: this is unsafe and will cause data loss when the "
        "machine or its power fails; never use it in production");
  }
  o.checkpoint_journal_bytes = Uint(o.flags, "checkpoint-journal-bytes");
  o.checkpoint_interval = Duration(o.flags, "checkpoint-interval");
  if (o.checkpoint_journal_bytes < (1u << 20) || o.checkpoint_interval < absl::Seconds(1)) {
    return absl::InvalidArgumentError(
        "--checkpoint-journal-bytes is at least 1048576, --checkpoint-interval at least 1s");
  }
  o.journal_direct_writes = Bool(o.flags, "journal-direct-writes");
  o.journal_segment_bytes = Uint(o.flags, "journal-segment-bytes");
  if (o.journal_segment_bytes < (1u << 20) || o.journal_segment_bytes > (1u << 30)) {
    return absl::InvalidArgumentError("--journal-segment-bytes must be in 1 MiB .. 1 GiB");
  }
  return absl::OkStatus();
}

}  // namespace

int64_t Options::min_lease_ttl_seconds() const {
  int64_t election_ticks = election_timeout / heartbeat_interval;
  absl::Duration least = (3 * election_ticks / 2) * heartbeat_interval;
  return static_cast<int64_t>(std::ceil(absl::ToDoubleSeconds(least)));
}

absl::StatusOr<Options> BuildOptions(FlagValues flags, std::vector<std::string> warnings) {
  Options o;
  o.flags = std::move(flags);
  o.warnings = std::move(warnings);
  if (absl::Status s = ApplyVerdicts(o); !s.ok()) return s;
  o.name = o.flags.Get("name");
  o.data_dir = o.flags.Get("data-dir");
  if (o.data_dir.empty()) o.data_dir = absl::StrCat(o.name, ".etcd");
  o.wal_dir = o.flags.Get("wal-dir");
  o.initial_cluster_token = o.flags.Get("initial-cluster-token");
  for (auto build : {BuildUrls, BuildTls, BuildTimes, BuildCompaction, BuildFeatureGates,
                     BuildLogging, BuildLimits, BuildOwn}) {
    if (absl::Status s = build(o); !s.ok()) return s;
  }
  std::string state = o.flags.Get("initial-cluster-state");
  if (state != "new" && state != "existing") {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid value \"", state, "\" for flag -initial-cluster-state"));
  }
  return o;
}

}  // namespace tidemark::server
