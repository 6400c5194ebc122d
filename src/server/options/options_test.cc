// Expected values are etcd's: contract sections 10.1 and 10.2.
#include "src/server/options/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "src/server/options/flag_table.h"
#include "src/server/options/startup.h"

namespace tidemark::server {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

absl::StatusOr<std::string> NoFile(const std::string& path) {
  return absl::NotFoundError("no such file");
}

std::variant<Options, ExitAtOnce> Start(const Words& arguments, const Words& environment = {}) {
  return DecideStart(arguments, environment, NoFile);
}

Options MustStart(const Words& arguments, const Words& environment = {}) {
  auto decision = Start(arguments, environment);
  if (auto* exit = std::get_if<ExitAtOnce>(&decision)) {
    ADD_FAILURE() << exit->err;
    return Options();
  }
  return std::get<Options>(std::move(decision));
}

ExitAtOnce MustExit(const Words& arguments, const Words& environment = {}) {
  auto decision = Start(arguments, environment);
  if (std::holds_alternative<Options>(decision)) {
    ADD_FAILURE() << "started with " << ::testing::PrintToString(arguments);
    return ExitAtOnce{-1, "", ""};
  }
  return std::get<ExitAtOnce>(std::move(decision));
}

Options FromConfig(const std::string& text, const Words& more = {}, const Words& env = {}) {
  Words arguments = {"--config-file=/etcd.yaml"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  auto decision = DecideStart(arguments, env, [&](const std::string& path) {
    EXPECT_EQ(path, "/etcd.yaml");
    return absl::StatusOr<std::string>(text);
  });
  if (auto* exit = std::get_if<ExitAtOnce>(&decision)) {
    ADD_FAILURE() << exit->err;
    return Options();
  }
  return std::get<Options>(std::move(decision));
}

TEST(Flags, DefaultsAreEtcds) {
  Options o = MustStart({});
  EXPECT_EQ(o.name, "default");
  EXPECT_EQ(o.data_dir, "default.etcd");
  EXPECT_EQ(JoinUrls(o.listen_client_urls), "http://localhost:2379");
  EXPECT_EQ(JoinUrls(o.listen_peer_urls), "http://localhost:2380");
  EXPECT_EQ(JoinUrls(o.advertise_client_urls), "http://localhost:2379");
  EXPECT_TRUE(o.listen_metrics_urls.empty());
  EXPECT_EQ(o.initial_cluster_token, "etcd-cluster");
  EXPECT_EQ(o.max_request_bytes, 1572864u);
  EXPECT_EQ(o.max_txn_ops, 128u);
  EXPECT_EQ(o.max_concurrent_streams, 4294967295u);
  EXPECT_EQ(o.keepalive_min_time, absl::Seconds(5));
  EXPECT_EQ(o.keepalive_interval, absl::Hours(2));
  EXPECT_EQ(o.keepalive_timeout, absl::Seconds(20));
  EXPECT_EQ(o.watch_progress_notify_interval, absl::Minutes(10));
  EXPECT_EQ(o.warning_unary_request_duration, absl::Milliseconds(300));
  EXPECT_EQ(o.compaction.mode, CompactionOptions::Mode::kOff);
  EXPECT_EQ(o.client_tls.min_version, "TLS1.2");
  EXPECT_THAT(o.log.outputs, ElementsAre("stderr"));
  EXPECT_EQ(o.min_lease_ttl_seconds(), 2);
  EXPECT_EQ(o.request_timeout(), absl::Seconds(7));
  EXPECT_TRUE(o.warnings.empty());
}

TEST(Flags, GoSyntax) {
  EXPECT_EQ(MustStart({"-name", "a"}).name, "a");
  EXPECT_EQ(MustStart({"--name", "a"}).name, "a");
  EXPECT_EQ(MustStart({"-name=a"}).name, "a");
  EXPECT_EQ(MustStart({"--name=a=b"}).name, "a=b");
  EXPECT_EQ(MustStart({"--name=a", "--name=b"}).name, "b");  // the last wins
  EXPECT_EQ(MustStart({"--name", "a"}).data_dir, "a.etcd");
  EXPECT_TRUE(MustStart({"--socket-reuse-port"}).socket_reuse_port);
  for (const char* yes : {"true", "1", "t"})
    EXPECT_TRUE(MustStart({std::string("--socket-reuse-port=") + yes}).socket_reuse_port) << yes;
  for (const char* no : {"false", "0", "f"})
    EXPECT_FALSE(MustStart({std::string("--socket-reuse-port=") + no}).socket_reuse_port) << no;
}

TEST(Flags, ExitCodes) {
  ExitAtOnce unknown = MustExit({"--no-such-flag"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("flag provided but not defined: -no-such-flag"));
  EXPECT_THAT(unknown.err, HasSubstr("--listen-client-urls"));
  EXPECT_EQ(unknown.out, "");

  ExitAtOnce stray = MustExit({"--name", "a", "stray", "--no-such-flag"});
  EXPECT_EQ(stray.code, 1);
  EXPECT_THAT(stray.err, HasSubstr("\"stray\" is not a valid flag"));
  // A boolean does not take the next word.
  EXPECT_THAT(MustExit({"--socket-reuse-port", "true"}).err,
              HasSubstr("\"true\" is not a valid flag"));

  EXPECT_EQ(MustExit({"--name"}).code, 2);
  EXPECT_EQ(MustExit({"--max-txn-ops=many"}).code, 2);
  EXPECT_EQ(MustExit({"--max-txn-ops=-1"}).code, 2);
  EXPECT_EQ(MustExit({"--grpc-keepalive-timeout=20"}).code, 2);  // Go wants a unit
  EXPECT_EQ(MustExit({"--client-cert-auth=maybe"}).code, 2);
  EXPECT_EQ(MustExit({"--listen-client-urls=http://127.0.0.1:1"}).code, 1);
  EXPECT_THAT(MustExit({"gateway", "start"}).err, HasSubstr("gateway"));
  EXPECT_THAT(MustExit({"grpc-proxy"}).err, HasSubstr("grpc-proxy"));
}

TEST(Flags, HelpAndVersion) {
  for (const char* flag : {"-h", "--help", "-help", "--h"}) {
    ExitAtOnce help = MustExit({flag});
    EXPECT_EQ(help.code, 0) << flag;
    EXPECT_THAT(help.out, HasSubstr("--initial-cluster-token")) << flag;
  }
  ExitAtOnce version = MustExit({"--version"});
  EXPECT_EQ(version.code, 0);
  std::vector<std::string> lines = absl::StrSplit(version.out, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "etcd Version: 3.7.1");
  EXPECT_TRUE(absl::StartsWith(lines[1], "Git SHA: "));
  EXPECT_TRUE(absl::StartsWith(lines[2], "Go Version: "));
  EXPECT_TRUE(absl::StartsWith(lines[3], "Go OS/Arch: linux/"));
}

TEST(Environment, SetsConflictsAndWarns) {
  Options o = MustStart({}, {"ETCD_NAME=env", "PATH=/bin", "ETCD_MAX_TXN_OPS=7",
                             "ETCD_NOBODY_KNOWS=1", "ETCD_CLIENT_CERT_AUTH=true"});
  EXPECT_EQ(o.name, "env");
  EXPECT_EQ(o.max_txn_ops, 7u);
  EXPECT_TRUE(o.client_tls.client_cert_auth);
  EXPECT_THAT(o.warnings, ElementsAre("unrecognized environment variable ETCD_NOBODY_KNOWS"));

  EXPECT_EQ(MustStart({"--warning-unary-request-duration=0s"}).warning_unary_request_duration,
            absl::Milliseconds(300));
  o = MustStart({}, {"ETCD_VERSION=v3.5.9"});  // as images of etcd set it
  EXPECT_THAT(o.warnings, ElementsAre("ignored environment variable ETCD_VERSION"));

  ExitAtOnce conflict = MustExit({"--name=flag"}, {"ETCD_NAME=env"});
  EXPECT_EQ(conflict.code, 1);
  EXPECT_THAT(conflict.err, HasSubstr("conflicting environment variable \"ETCD_NAME\" is shadowed "
                                      "by corresponding command-line flag"));
  EXPECT_EQ(MustExit({}, {"ETCD_MAX_TXN_OPS=x"}).code, 1);
}

TEST(Environment, EveryFlagHasAVariable) {
  for (const FlagSpec& spec : FlagTable()) {
    std::string variable = "ETCD_";
    for (char c : spec.name) variable += c == '-' ? '_' : absl::ascii_toupper(c);
    FlagValues values;
    Words warnings;
    std::string value = spec.default_value.empty() ? "x" : std::string(spec.default_value);
    ASSERT_TRUE(AddEnvironment({variable + "=" + value}, values, warnings).ok()) << spec.name;
    if (absl::StrContains(spec.name, '.')) continue;  // no such variable can exist
    const bool ignored = spec.name == "version" || spec.name == "help";
    EXPECT_EQ(warnings.empty(), !ignored) << spec.name;
  }
}

TEST(ConfigFile, ReadsAndIgnoresAllElse) {
  Options o = FromConfig(R"(
name: 'from-file'
data-dir:
quota-backend-bytes: 4096
grpc-keepalive-min-time: 3000000000
auto-compaction-retention: "1"
log-outputs: [stderr, stdout]
proxy: 'off'
nobody-knows: {a: 1}
feature-gates: InitialCorruptCheck=true
listen-client-urls: https://127.0.0.1:2379
advertise-client-urls: https://127.0.0.1:2379
client-transport-security:
  cert-file: c.pem
  key-file: k.pem
  client-cert-auth: true
  allowed-hostnames: [a, b]
peer-transport-security:
  cert-file: pc.pem
  auto-tls: true
)",
                         {"--name=flag"}, {"ETCD_NAME=env"});
  EXPECT_EQ(o.name, "from-file");
  EXPECT_EQ(o.data_dir, "from-file.etcd");
  EXPECT_EQ(o.quota_bytes, 4096);
  EXPECT_EQ(o.keepalive_min_time, absl::Seconds(3));
  EXPECT_EQ(o.compaction.retention, absl::Hours(1));
  EXPECT_THAT(o.log.outputs, ElementsAre("stderr", "stdout"));
  EXPECT_EQ(o.client_tls.cert_file, "c.pem");
  EXPECT_EQ(o.client_tls.key_file, "k.pem");
  EXPECT_TRUE(o.client_tls.client_cert_auth);
  EXPECT_THAT(o.client_tls.allowed_hostnames, ElementsAre("a", "b"));
  EXPECT_TRUE(o.feature_gates.at("InitialCorruptCheck"));
  EXPECT_EQ(o.flags.Get("peer-cert-file"), "pc.pem");
}

TEST(ConfigFile, JsonAndVariable) {
  // In a file, unlike on the command line, nothing asks for it.
  EXPECT_EQ(FromConfig("listen-client-urls: http://127.0.0.1:2379").advertise_client_urls[0].text,
            "http://localhost:2379");
  EXPECT_EQ(FromConfig(R"({"name": "j", "max-txn-ops": 9})").max_txn_ops, 9u);
  auto decision = DecideStart({}, {"ETCD_CONFIG_FILE=/x", "ETCD_NAME=env"},
                              [](const std::string& path) -> absl::StatusOr<std::string> {
                                EXPECT_EQ(path, "/x");
                                return "name: y";
                              });
  EXPECT_EQ(std::get<Options>(decision).name, "y");
}

TEST(ConfigFile, Broken) {
  for (const char* text : {"a: [", "- a\n- b", "name: {a: b}", "max-txn-ops: many",
                           "client-transport-security: yes"}) {
    auto decision = DecideStart({"--config-file=x"}, {}, [&](const std::string&) {
      return absl::StatusOr<std::string>(text);
    });
    ASSERT_TRUE(std::holds_alternative<ExitAtOnce>(decision)) << text;
    EXPECT_EQ(std::get<ExitAtOnce>(decision).code, 1) << text;
  }
  EXPECT_EQ(MustExit({"--config-file=/missing"}).code, 1);
}

TEST(Urls, BindAndAdvertiseRules) {
  auto listen = [](const std::string& url) {
    return Start({"--advertise-client-urls=http://a:1", "--listen-client-urls=" + url});
  };
  for (const char* good :
       {"http://127.0.0.1:2379", "http://0.0.0.0:0", "http://[::]:2379", "http://localhost:1",
        "unix://some:2379", "unixs:///run/x", "http://127.0.0.1:1, http://127.0.0.1:2"}) {
    if (absl::StartsWith(good, "unixs")) continue;  // wants a certificate, tested below
    EXPECT_TRUE(std::holds_alternative<Options>(listen(good))) << good;
  }
  for (const char* bad :
       {"http://example.com:2379", "http://:2379", "http://127.0.0.1", "ftp://127.0.0.1:1", "",
        "http://127.0.0.1:2379/path", "http://127.0.0.1:70000", "127.0.0.1:2379", "http://::1:5"}) {
    EXPECT_TRUE(std::holds_alternative<ExitAtOnce>(listen(bad))) << bad;
  }
  EXPECT_THAT(std::get<ExitAtOnce>(listen("http://example.com:2379")).err,
              HasSubstr("expected IP in URL for binding (http://example.com:2379)"));
  EXPECT_EQ(MustExit({"--advertise-client-urls=http://:2379"}).code, 1);
  EXPECT_THAT(MustExit({"--listen-client-urls=http://127.0.0.1:1"}).err,
              HasSubstr("--advertise-client-urls is required"));
}

TEST(Tls, Rules) {
  Words base = {"--advertise-client-urls=https://a:1", "--listen-client-urls=https://127.0.0.1:1"};
  auto with = [&](Words more) {
    more.insert(more.end(), base.begin(), base.end());
    return more;
  };
  EXPECT_THAT(MustExit(with({})).err,
              HasSubstr("TLS key/cert (--cert-file, --key-file) must be provided for client url "
                        "https://127.0.0.1:1 with HTTPS scheme"));
  EXPECT_EQ(MustStart(with({"--cert-file=c", "--key-file=k"})).client_tls.key_file, "k");
  EXPECT_THAT(MustExit({"--listen-metrics-urls=https://127.0.0.1:1"}).err,
              HasSubstr("client TLS key/cert (--cert-file, --key-file) must be provided for "
                        "metrics secure url"));
  EXPECT_EQ(MustExit({"--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"}).code, 1);
  EXPECT_EQ(MustExit({"--tls-min-version=TLS1.1"}).code, 1);
  EXPECT_EQ(MustExit({"--cipher-suites=NOPE"}).code, 1);
  // Broken ones are dropped, but never all: that would offer every suite.
  EXPECT_THAT(MustStart({"--cipher-suites=TLS_RSA_WITH_RC4_128_SHA,"
                         "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"})
                  .client_tls.cipher_suites,
              ElementsAre("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"));
  EXPECT_EQ(MustExit({"--cipher-suites=TLS_RSA_WITH_RC4_128_SHA"}).code, 1);
  EXPECT_EQ(MustExit({"--tls-min-version=TLS1.3",
                      "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"})
                .code,
            1);
  EXPECT_THAT(
      MustStart({"--cipher-suites=TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"}).client_tls.cipher_suites,
      ElementsAre("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"));
}

TEST(Rules, TimesAndRetention) {
  EXPECT_EQ(MustExit({"--heartbeat-interval=100", "--election-timeout=499"}).code, 1);
  EXPECT_EQ(MustExit({"--heartbeat-interval=1000", "--election-timeout=50001"}).code, 1);
  EXPECT_EQ(
      MustStart({"--heartbeat-interval=100", "--election-timeout=500"}).min_lease_ttl_seconds(), 1);
  EXPECT_EQ(MustExit({"--compact-hash-check-time=0s"}).code, 1);
  EXPECT_EQ(MustStart({"--watch-progress-notify-interval=1ms"}).watch_progress_notify_interval,
            absl::Milliseconds(100));
  EXPECT_EQ(MustStart({"--auto-compaction-retention=5"}).compaction.retention, absl::Hours(5));
  EXPECT_EQ(MustStart({"--auto-compaction-retention=5m"}).compaction.retention, absl::Minutes(5));
  Options revision =
      MustStart({"--auto-compaction-mode=revision", "--auto-compaction-retention=1000"});
  EXPECT_EQ(revision.compaction.mode, CompactionOptions::Mode::kRevision);
  EXPECT_EQ(revision.compaction.retention_revisions, 1000);
  EXPECT_EQ(MustExit({"--auto-compaction-mode=revision", "--auto-compaction-retention=5m"}).code,
            1);
  EXPECT_EQ(MustExit({"--auto-compaction-mode=sometimes"}).code, 1);
  EXPECT_EQ(MustExit({"--auto-compaction-retention=-1h"}).code, 1);
}

TEST(Rules, FeatureGates) {
  EXPECT_TRUE(MustStart({"--feature-gates=InitialCorruptCheck=true,CompactHashCheck=false"})
                  .feature_gates.at("InitialCorruptCheck"));
  EXPECT_TRUE(MustStart({}).feature_gates.at("FastLeaseKeepAlive"));
  const auto gates = MustStart({"--feature-gates=LeaseCheckpointPersist=f,AllAlpha=true,AllBeta=0,"
                                "TxnModeWriteWithSharedBuffer=true"})
                         .feature_gates;
  EXPECT_TRUE(gates.at("InitialCorruptCheck"));
  EXPECT_FALSE(gates.at("LeaseCheckpointPersist"));
  EXPECT_FALSE(gates.at("FastLeaseKeepAlive"));
  EXPECT_TRUE(gates.at("TxnModeWriteWithSharedBuffer"));
  EXPECT_FALSE(gates.contains("AllAlpha"));
  EXPECT_EQ(MustExit({"--feature-gates=AllAlpha=maybe"}).code, 1);
  EXPECT_EQ(MustExit({"--feature-gates=Nope=true"}).code, 1);
  EXPECT_EQ(MustExit({"--feature-gates=InitialCorruptCheck"}).code, 1);
  EXPECT_EQ(MustExit({"--feature-gates=LeaseCheckpointPersist=true"}).code, 1);
  EXPECT_TRUE(MustStart({"--experimental-initial-corrupt-check=true"})
                  .feature_gates.at("InitialCorruptCheck"));
}

// However they are given, all gates count, and a gate given by today's name has the last word.
TEST(Rules, GatesOfOldNamesAndOfTheFlagAddUp) {
  const std::string old = "--experimental-enable-lease-checkpoint=true";
  const std::string flag = "--feature-gates=LeaseCheckpointPersist=true";
  for (const Words& words : {Words{old, flag}, Words{flag, old}}) {
    const auto gates = MustStart(words).feature_gates;
    EXPECT_TRUE(gates.at("LeaseCheckpoint") && gates.at("LeaseCheckpointPersist"));
  }
  const auto gates =
      MustStart({flag}, {"ETCD_EXPERIMENTAL_ENABLE_LEASE_CHECKPOINT=true"}).feature_gates;
  EXPECT_TRUE(gates.at("LeaseCheckpoint") && gates.at("LeaseCheckpointPersist"));
  EXPECT_TRUE(MustStart({old}, {"ETCD_FEATURE_GATES=LeaseCheckpointPersist=true"})
                  .feature_gates.at("LeaseCheckpointPersist"));
  const std::string off = "--feature-gates=LeaseCheckpoint=false";
  EXPECT_FALSE(MustStart({old, off}).feature_gates.at("LeaseCheckpoint"));
  EXPECT_FALSE(MustStart({off, old}).feature_gates.at("LeaseCheckpoint"));
}

TEST(Rules, AutoTls) {
  Words https = {"--listen-client-urls=https://127.0.0.1:1",
                 "--advertise-client-urls=https://127.0.0.1:1", "--data-dir=/d"};
  auto with = [&](Words more) {
    more.insert(more.end(), https.begin(), https.end());
    return more;
  };
  EXPECT_EQ(MustExit(https).code, 1);
  Options o = MustStart(with({"--auto-tls"}));
  EXPECT_TRUE(o.client_tls.self_signed);
  EXPECT_EQ(o.client_tls.cert_file, "/d/fixtures/client/cert.pem");
  EXPECT_EQ(o.client_tls.key_file, "/d/fixtures/client/key.pem");
  EXPECT_EQ(o.client_tls.self_signed_validity_years, 1u);
  EXPECT_TRUE(o.warnings.empty());
  o = MustStart(with({"--auto-tls", "--self-signed-cert-validity=7"}));
  EXPECT_EQ(o.client_tls.self_signed_validity_years, 7u);
  EXPECT_THAT(MustExit(with({"--auto-tls", "--self-signed-cert-validity=0"})).err,
              HasSubstr("--self-signed-cert-validity"));
  o = MustStart(with({"--auto-tls", "--cert-file=c", "--key-file=k"}));
  EXPECT_FALSE(o.client_tls.self_signed);
  EXPECT_EQ(o.client_tls.cert_file, "c");
  EXPECT_THAT(o.warnings, ElementsAre("ignoring client auto TLS since certs given"));
}

TEST(Rules, OlderNamesAndVerdicts) {
  EXPECT_EQ(MustStart({"--experimental-watch-progress-notify-interval=5s"})
                .watch_progress_notify_interval,
            absl::Seconds(5));
  EXPECT_EQ(MustStart({"--debug"}).log.level, "debug");
  EXPECT_EQ(MustExit({"--enable-v2=true"}).code, 1);
  EXPECT_TRUE(MustStart({"--enable-v2=false", "--discovery-fallback=exit"}).warnings.empty());
  EXPECT_THAT(MustExit({"--discovery-srv=example.com"}).err, HasSubstr("--discovery-srv"));
  EXPECT_THAT(MustStart({"--memory-mlock"}).warnings,
              ElementsAre("flag --memory-mlock has no effect in Tidemark"));
  EXPECT_TRUE(MustStart({"--v=3", "--snapshot=x"}).warnings.empty());
  EXPECT_FALSE(MustStart({}).unsafe_no_fsync);
  EXPECT_TRUE(MustStart({"--unsafe-no-fsync"}).unsafe_no_fsync);
  EXPECT_THAT(MustStart({"--unsafe-no-fsync"}).warnings,
              ElementsAre(HasSubstr("unsafe and will cause data loss")));
  EXPECT_THAT(MustStart({"--max-snapshots=5"}).warnings,
              Contains("--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8"));
  EXPECT_EQ(MustExit({"--logger=capnslog"}).code, 1);
  EXPECT_EQ(MustExit({"--log-level=loud"}).code, 1);
  EXPECT_EQ(MustExit({"--log-format=xml"}).code, 1);
}

TEST(Rules, KubeadmManifestStarts) {
  Options o = MustStart({"--advertise-client-urls=https://10.0.0.1:2379",
                         "--cert-file=/pki/server.crt", "--client-cert-auth=true",
                         "--data-dir=/var/lib/etcd", "--feature-gates=InitialCorruptCheck=true",
                         "--initial-advertise-peer-urls=https://10.0.0.1:2380",
                         "--initial-cluster=cp=https://10.0.0.1:2380", "--key-file=/pki/server.key",
                         "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.1:2379",
                         "--listen-metrics-urls=http://127.0.0.1:2381",
                         "--listen-peer-urls=https://10.0.0.1:2380", "--name=cp",
                         "--peer-cert-file=/pki/peer.crt", "--peer-client-cert-auth=true",
                         "--peer-key-file=/pki/peer.key", "--peer-trusted-ca-file=/pki/ca.crt",
                         "--snapshot-count=10000", "--trusted-ca-file=/pki/ca.crt",
                         "--watch-progress-notify-interval=5s"});
  EXPECT_TRUE(o.warnings.empty()) << o.warnings[0];
  EXPECT_TRUE(CheckInitialCluster(o).ok());
  EXPECT_EQ(o.listen_client_urls.size(), 2u);
}

TEST(InitialCluster, Consistency) {
  EXPECT_TRUE(CheckInitialCluster(MustStart({})).ok());
  EXPECT_TRUE(CheckInitialCluster(MustStart({"--name=a"})).ok());
  EXPECT_FALSE(CheckInitialCluster(MustStart({"--initial-cluster=b=http://localhost:2380"})).ok());
  EXPECT_FALSE(
      CheckInitialCluster(MustStart({"--initial-cluster=default=http://localhost:9"})).ok());
  EXPECT_TRUE(
      CheckInitialCluster(MustStart({"--initial-advertise-peer-urls=http://h:1,http://h:2",
                                     "--initial-cluster=default=http://h:2,default=http://h:1"}))
          .ok());
  // A name may stand for the address.
  EXPECT_TRUE(CheckInitialCluster(MustStart({"--initial-advertise-peer-urls=http://10.0.0.5:2380",
                                             "--initial-cluster=default=http://etcd-0.etcd:2380"}))
                  .ok());
  absl::Status several = CheckInitialCluster(
      MustStart({"--initial-cluster=default=http://localhost:2380,b=http://b:2380"}));
  EXPECT_THAT(std::string(several.message()), HasSubstr("single node"));
  EXPECT_FALSE(CheckInitialCluster(MustStart({"--initial-cluster-state=existing",
                                              "--initial-cluster=default=http://localhost:2380"}))
                   .ok());
  EXPECT_FALSE(CheckInitialCluster(MustStart({"--initial-cluster-state=existing"})).ok());
  EXPECT_EQ(MustExit({"--initial-cluster-state=old"}).code, 1);
}

TEST(Own, RolesPartitionsMemory) {
  EXPECT_EQ(MustExit({"--roles=journal"}).code, 1);
  MustStart({"--roles=journal,store,router"});
  EXPECT_EQ(MustExit({"--single-partition", "--partitions=a=b"}).code, 1);
  EXPECT_EQ(MustStart({"--memory-dir=/m"}).memory_dir, "/m");
  EXPECT_EQ(MustExit({"--journal-segment-bytes=1"}).code, 1);
  EXPECT_EQ(MustExit({"--event-loops=5000"}).code, 1);
}

}  // namespace
}  // namespace tidemark::server
