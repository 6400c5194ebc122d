// What a running server shows from outside, beside a real etcd where there is one.
//
// TIDEMARK_BIN and ETCD_BIN name the binaries.
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/rpc.grpc.pb.h"
#include "tests/process/http_get.h"
#include "tests/process/server_process.h"

namespace tidemark::process {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Binary(const char* variable) {
  const char* binary = std::getenv(variable);
  return binary == nullptr ? "" : binary;
}

std::string Content(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

class ProcessTest : public ::testing::Test {
 protected:
  ~ProcessTest() override {
    servers_.clear();
    for (const std::string& directory : directories_) RemoveTree(directory);
  }

  // Memory below the test's directory, so that nothing stays on tmpfs.
  ServerOptions Prepare(const std::string& binary, ServerOptions options) {
    options.binary = binary;
    options.directory = MakeTestDirectory(absl::StrCat("process", directories_.size()));
    directories_.push_back(options.directory);
    if (binary == Binary("TIDEMARK_BIN")) {
      options.environment = {"ETCD_MEMORY_DIR=" + options.directory + "/memory",
                             "ETCD_ALLOW_ANONYMOUS_MEMORY=true"};
    }
    return options;
  }
  ServerOptions Unstarted() { return Prepare(Binary("TIDEMARK_BIN"), {}); }
  ServerProcess& Start(const std::string& binary, ServerOptions options = {}) {
    options = Prepare(binary, std::move(options));
    servers_.push_back(std::make_unique<ServerProcess>(std::move(options)));
    servers_.back()->Start();
    EXPECT_TRUE(servers_.back()->WaitReady()) << Content(servers_.back()->log_path());
    // Reads are answered a moment before the node calls itself healthy.
    EXPECT_TRUE(servers_.back()->WaitForLog("ready to serve client requests"));
    return *servers_.back();
  }

 private:
  std::vector<std::string> directories_;
  std::vector<std::unique_ptr<ServerProcess>> servers_;
};

template <typename Stub, typename Request, typename Response>
grpc::Status Call(Stub& stub,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request, Response* response) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
  return (stub.*method)(&context, request, response);
}

// The same few requests to either server; two of them are refused.
void FewRequests(ServerProcess& server) {
  auto channel = server.Connect();
  etcdserverpb::KV::Stub kv(channel);
  etcdserverpb::Lease::Stub lease(channel);
  etcdserverpb::Maintenance::Stub maintenance(channel);
  auto must = [](const grpc::Status& status) {
    EXPECT_TRUE(status.ok()) << status.error_message();
  };
  etcdserverpb::PutRequest put;
  etcdserverpb::PutResponse put_done;
  for (int i = 0; i < 3; ++i) {
    put.set_key(absl::StrCat("k", i));
    put.set_value("value");
    must(Call(kv, &etcdserverpb::KV::Stub::Put, put, &put_done));
  }
  etcdserverpb::RangeRequest range;
  etcdserverpb::RangeResponse ranged;
  range.set_key("k0");
  must(Call(kv, &etcdserverpb::KV::Stub::Range, range, &ranged));
  range.set_revision(100);
  EXPECT_FALSE(Call(kv, &etcdserverpb::KV::Stub::Range, range, &ranged).ok());
  etcdserverpb::DeleteRangeRequest erase;
  etcdserverpb::DeleteRangeResponse erased;
  erase.set_key("k2");
  must(Call(kv, &etcdserverpb::KV::Stub::DeleteRange, erase, &erased));
  etcdserverpb::TxnRequest txn;
  etcdserverpb::TxnResponse txn_done;
  *txn.add_success()->mutable_request_put() = put;
  must(Call(kv, &etcdserverpb::KV::Stub::Txn, txn, &txn_done));
  etcdserverpb::LeaseGrantRequest grant;
  etcdserverpb::LeaseGrantResponse granted;
  grant.set_ttl(100);
  must(Call(lease, &etcdserverpb::Lease::Stub::LeaseGrant, grant, &granted));
  etcdserverpb::LeaseRevokeRequest revoke;
  etcdserverpb::LeaseRevokeResponse revoked;
  revoke.set_id(granted.id());
  must(Call(lease, &etcdserverpb::Lease::Stub::LeaseRevoke, revoke, &revoked));
  etcdserverpb::CompactionRequest compact;
  etcdserverpb::CompactionResponse compacted;
  compact.set_revision(5);
  compact.set_physical(true);
  must(Call(kv, &etcdserverpb::KV::Stub::Compact, compact, &compacted));
  etcdserverpb::HashKVRequest hash;
  etcdserverpb::HashKVResponse hashed;
  must(Call(maintenance, &etcdserverpb::Maintenance::Stub::HashKV, hash, &hashed));
  etcdserverpb::DefragmentRequest defragment;
  etcdserverpb::DefragmentResponse defragmented;
  must(Call(maintenance, &etcdserverpb::Maintenance::Stub::Defragment, defragment, &defragmented));
  EXPECT_FALSE(HttpGet(server.endpoint(), "/health").empty());
  EXPECT_FALSE(HttpGet(server.endpoint(), "/metrics").empty());
}

struct Scrape {
  std::map<std::string, std::string> types;
  std::map<std::string, std::set<std::string>> labels;  // by family; "" for a series without any
  std::map<std::string, double> values;                 // by series as written

  explicit Scrape(const std::string& text) {
    for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (absl::StartsWith(line, "# TYPE ") && words.size() == 4) types[words[2]] = words[3];
      if (line[0] == '#') continue;
      size_t blank = line.rfind(' ');
      std::string series(line.substr(0, blank));
      (void)absl::SimpleAtod(line.substr(blank + 1), &values[series]);
      std::string family = series.substr(0, series.find('{'));
      for (const char* suffix : {"_bucket", "_sum", "_count"}) {
        std::string stem = family.substr(0, family.rfind(suffix));
        if (absl::EndsWith(family, suffix) && types.count(stem) > 0) family = stem;
      }
      static const std::regex kLabel("(\\w+)=\"");
      std::set<std::string>& names = labels[family];
      for (std::sregex_iterator it(series.begin(), series.end(), kLabel), end; it != end; ++it) {
        names.insert((*it)[1]);
      }
    }
  }
  bool Has(const std::string& family) const { return types.count(family) > 0; }
};

// What etcd shows and tidemark deliberately does not. A name ending in * stands for all that begin
// so.
const std::map<std::string, std::string>& DeliberatelyAbsent() {
  static const auto* absent = new std::map<std::string, std::string>{
      {"go_*", "there is no Go runtime"},
      {"etcd_server_go_version", "there is no Go runtime"},
      {"etcd_grpc_proxy_*", "there is no gRPC proxy"},
      {"etcd_debugging_store_*", "of the v2 store, which is gone"},
      {"etcd_debugging_auth_revision", "auth is not implemented yet"},
      {"etcd_debugging_disk_backend_commit_*",
       "steps of a B+ tree's commit; there is no such tree"},
      {"etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
       "compaction frees memory in bounded steps between requests: nothing pauses"},
      {"etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
       "compaction frees memory in bounded steps between requests: nothing pauses"},
      {"etcd_debugging_mvcc_pending_events_total",
       "a slow stream costs a cursor into history, not a queue; see slow_watcher_total"},
      {"etcd_debugging_server_watch_send_loop_*",
       "events are handed on by reference; no such loop"},
      {"etcd_server_apply_duration_seconds",
       "entries are applied in batches by several partitions; see slow_apply_total"},
      {"etcd_disk_backend_snapshot_duration_seconds", "snapshots are not implemented yet"},
      {"etcd_debugging_snap_save_*", "no snapshots are sent between members yet"},
      {"etcd_snap_*", "no snapshots are sent between members yet"},
  };
  return *absent;
}

std::string AbsentBy(const std::string& name) {
  for (const auto& [pattern, reason] : DeliberatelyAbsent()) {
    bool is_prefix = pattern.back() == '*';
    if (is_prefix ? absl::StartsWith(name, pattern.substr(0, pattern.size() - 1))
                  : name == pattern) {
      return pattern;
    }
  }
  return "";
}

// Series that the few requests move by the same amount in both.
constexpr const char* kEqualSeries[] = {
    "etcd_mvcc_put_total",
    "etcd_mvcc_delete_total",
    "etcd_debugging_mvcc_keys_total",
    "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_compact_revision",
    "etcd_debugging_mvcc_total_put_size_in_bytes",
    "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_revoked_total",
    "etcd_debugging_lease_ttl_total_count",
    "etcd_debugging_lease_ttl_total_sum",
    "etcd_debugging_lease_ttl_total_bucket{le=\"64\"}",
    "etcd_debugging_lease_ttl_total_bucket{le=\"128\"}",
    "etcd_debugging_mvcc_db_compaction_keys_total",
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count",
    "etcd_mvcc_hash_rev_duration_seconds_count",
    "etcd_mvcc_hash_duration_seconds_count",
    "etcd_disk_backend_defrag_duration_seconds_count",
    "etcd_disk_defrag_inflight",
    "etcd_server_request_duration_seconds_count{success=\"true\",type=\"Put\"}",
    "etcd_server_request_duration_seconds_count{success=\"true\",type=\"DeleteRange\"}",
    "etcd_server_request_duration_seconds_count{success=\"true\",type=\"Txn\"}",
    "etcd_server_request_duration_seconds_count{success=\"true\",type=\"LeaseGrant\"}",
    "etcd_server_request_duration_seconds_count{success=\"true\",type=\"LeaseRevoke\"}",
    "etcd_server_request_duration_seconds_count{success=\"true\",type=\"Compaction\"}",
    "etcd_server_request_duration_seconds_count{success=\"false\",type=\"Range\"}",
    "etcd_server_has_leader",
    "etcd_server_is_leader",
    "etcd_server_proposals_failed_total",
    "etcd_server_proposals_pending",
    "etcd_server_slow_read_indexes_total",
    "etcd_server_quota_backend_bytes",
    "etcd_server_health_success",
    "promhttp_metric_handler_requests_total{code=\"200\"}",
    "promhttp_metric_handler_requests_in_flight",
};

TEST_F(ProcessTest, MetricsHaveEtcdsNamesTypesLabelsAndValues) {
  if (Binary("ETCD_BIN").empty()) GTEST_SKIP() << "no etcd to compare with";
  for (const char* kind : {"basic", "extensive"}) {
    ServerOptions options;
    options.extra_flags = {absl::StrCat("--metrics=", kind)};
    ServerProcess& etcd = Start(Binary("ETCD_BIN"), options);
    ServerProcess& tidemark = Start(Binary("TIDEMARK_BIN"), options);
    FewRequests(etcd);
    FewRequests(tidemark);
    const Scrape theirs(HttpGet(etcd.endpoint(), "/metrics"));
    const Scrape ours(HttpGet(tidemark.endpoint(), "/metrics"));
    ASSERT_GT(theirs.types.size(), 100u);

    std::set<std::string> used, unexplained, wrongly_absent;
    for (const auto& [name, type] : theirs.types) {
      std::string by = AbsentBy(name);
      used.insert(by);
      if (ours.Has(name)) {
        EXPECT_EQ(ours.types.at(name), type) << name;
        EXPECT_EQ(ours.labels.count(name) ? ours.labels.at(name) : std::set<std::string>(),
                  theirs.labels.count(name) ? theirs.labels.at(name) : std::set<std::string>())
            << name;
        if (!by.empty()) wrongly_absent.insert(name);
      } else if (by.empty()) {
        unexplained.insert(name);
      }
    }
    EXPECT_THAT(unexplained, IsEmpty());
    EXPECT_THAT(wrongly_absent, IsEmpty()) << "listed as absent, but there";
    for (const auto& [pattern, reason] : DeliberatelyAbsent()) {
      EXPECT_EQ(used.count(pattern), 1u) << "no longer one of etcd's: " << pattern;
    }
    EXPECT_EQ(ours.Has("grpc_server_handling_seconds"), kind == std::string("extensive"));
    for (const char* series : kEqualSeries) {
      ASSERT_EQ(theirs.values.count(series), 1u) << series;
      ASSERT_EQ(ours.values.count(series), 1u) << series;
      EXPECT_EQ(ours.values.at(series), theirs.values.at(series)) << series;
    }
  }
}

// Until `enough` says so of a scrape.
Scrape ScrapeUntil(ServerProcess& server, const std::function<bool(const Scrape&)>& enough) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  for (;;) {
    Scrape scrape(HttpGet(server.endpoint(), "/metrics"));
    if (enough(scrape) || absl::Now() > deadline) return scrape;
    absl::SleepFor(absl::Milliseconds(20));
  }
}

TEST_F(ProcessTest, CheckpointsAreCounted) {
  ServerOptions options;
  options.extra_flags = {"--checkpoint-interval=1s", "--partitions=pods=/registry/pods/"};
  ServerProcess& server = Start(Binary("TIDEMARK_BIN"), options);
  FewRequests(server);
  const double written = Scrape(HttpGet(server.endpoint(), "/metrics"))
                             .values.at("etcd_server_proposals_committed_total");
  const Scrape scrape = ScrapeUntil(server, [written](const Scrape& s) {
    return s.values.at("tidemark_checkpoint_position") >= written;
  });
  EXPECT_GE(scrape.values.at("tidemark_checkpoint_position"), written);
  EXPECT_GE(scrape.values.at("tidemark_checkpoints_total{kind=\"whole\"}"), 2)
      << "the first one of each partition";
  EXPECT_EQ(scrape.values.count("tidemark_checkpoints_total{kind=\"increment\"}"), 1u);
  EXPECT_EQ(scrape.values.at("tidemark_checkpoint_failures_total"), 0);
  EXPECT_GT(scrape.values.at("tidemark_checkpoint_bytes_written_total"), 0);
  EXPECT_GT(scrape.values.at("tidemark_checkpoint_last_duration_seconds"), 0);
  EXPECT_EQ(scrape.types.at("tidemark_checkpoints_total"), "counter");
}

// etcd counts them among the revoked.
TEST_F(ProcessTest, LeasesThatExpireAreRevoked) {
  ServerProcess& server = Start(Binary("TIDEMARK_BIN"), {});
  etcdserverpb::Lease::Stub leases(server.Connect());
  etcdserverpb::LeaseGrantRequest grant;
  etcdserverpb::LeaseGrantResponse granted;
  grant.set_ttl(1);
  ASSERT_TRUE(Call(leases, &etcdserverpb::Lease::Stub::LeaseGrant, grant, &granted).ok());
  const auto revoked = [](const Scrape& s) {
    return s.values.at("etcd_debugging_lease_revoked_total");
  };
  const Scrape scrape = ScrapeUntil(server, [&](const Scrape& s) { return revoked(s) == 1; });
  EXPECT_EQ(revoked(scrape), 1);
  EXPECT_EQ(scrape.values.at("etcd_debugging_server_lease_expired_total"), 1);
}

// Its flags are mended, and count: nothing was begun with the wrong ones.
TEST_F(ProcessTest, AStartThatFailsFixesNoIdentity) {
  ServerOptions options = Unstarted();
  ServerOptions wrong = options;
  wrong.extra_flags = {"--initial-cluster-token=wrong", "--listen-metrics-urls=http://192.0.2.1:1"};
  ServerProcess failing(wrong);
  failing.Start();
  int wait_status = 0;
  ASSERT_TRUE(failing.WaitEnded(&wait_status));
  EXPECT_NE(wait_status, 0);
  EXPECT_EQ(Content(failing.data_directory() + "/identity.json"), "");
  ServerProcess server(options);
  server.Start();
  ASSERT_TRUE(server.WaitReady()) << Content(server.log_path());
  EXPECT_NE(Content(server.data_directory() + "/identity.json"), "");
}

// It may have much to read, and there is nothing yet that could stop in order.
TEST_F(ProcessTest, ASignalEndsAStartAtOnce) {
  ServerOptions options = Unstarted();
  options.environment.push_back("TIDEMARK_FAILPOINTS=journal.before_segment_create=sleep:60000@1");
  ServerProcess server(options);
  server.Start();
  ASSERT_TRUE(server.WaitForLog("memory budget"));
  EXPECT_EQ(server.Stop(), 0);
  EXPECT_TRUE(absl::StrContains(Content(server.log_path()), "received signal while starting"));
}

TEST_F(ProcessTest, StateHashesDependOnLiveKeysOnly) {
  ServerOptions options;
  options.extra_flags = {"--partitions=pods=/registry/pods/"};
  ServerProcess& server = Start(Binary("TIDEMARK_BIN"), options);
  const std::string rest = "tidemark_state_hash{partition=\"rest\"}";
  const std::string pods = "tidemark_state_hash{partition=\"pods\"}";
  auto hash = [&](const std::string& series) {
    return Scrape(HttpGet(server.endpoint(), "/metrics")).values.at(series);
  };
  EXPECT_EQ(hash(rest), 0);
  FewRequests(server);
  const double before = hash(rest);
  EXPECT_NE(before, 0);
  EXPECT_EQ(hash(pods), 0) << "no key of it was written";

  etcdserverpb::KV::Stub kv(server.Connect());
  etcdserverpb::PutRequest put;
  etcdserverpb::PutResponse put_done;
  put.set_key("another");
  ASSERT_TRUE(Call(kv, &etcdserverpb::KV::Stub::Put, put, &put_done).ok());
  EXPECT_NE(hash(rest), before);
  etcdserverpb::DeleteRangeRequest erase;
  etcdserverpb::DeleteRangeResponse erased;
  erase.set_key("another");
  ASSERT_TRUE(Call(kv, &etcdserverpb::KV::Stub::DeleteRange, erase, &erased).ok());
  EXPECT_EQ(hash(rest), before);

  EXPECT_EQ(server.Stop(), 0);
  server.Start();
  ASSERT_TRUE(server.WaitReady()) << Content(server.log_path());
  EXPECT_EQ(hash(rest), before) << "S6: the same after a restart";
}

TEST_F(ProcessTest, SyncsAreCountedAndSkippedOnlyWhenAskedFor) {
  for (bool unsafe : {false, true}) {
    ServerOptions options;
    if (unsafe) options.extra_flags = {"--unsafe-no-fsync"};
    ServerProcess& server = Start(Binary("TIDEMARK_BIN"), options);
    FewRequests(server);
    const Scrape scrape(HttpGet(server.endpoint(), "/metrics"));
    double syncs = scrape.values.at("etcd_disk_wal_fsync_duration_seconds_count");
    double writes = scrape.values.at("etcd_disk_wal_write_duration_seconds_count");
    EXPECT_GE(writes, 7);
    EXPECT_EQ(syncs, unsafe ? 0 : writes);
    EXPECT_EQ(scrape.values.at("etcd_disk_backend_commit_duration_seconds_count"), syncs);
    EXPECT_GT(scrape.values.at("etcd_disk_wal_write_bytes_total"), 0);
    EXPECT_EQ(absl::StrContains(Content(server.log_path()), "will cause data loss"), unsafe);
  }
}

// The mark behind the newest block tells its damage from a write that was never finished: a stop
// does not leave it to the pause that would come.
TEST_F(ProcessTest, AStopMarksTheNewestBlock) {
  ServerProcess& server = Start(Binary("TIDEMARK_BIN"), {});
  const std::string segment = server.data_directory() + "/journal/segment-00000000000000000001.log";
  // Several times: a stop that does not wait may be lucky.
  for (int stop = 0; stop < 5; ++stop) {
    etcdserverpb::KV::Stub kv(server.Connect());
    etcdserverpb::PutRequest put;
    etcdserverpb::PutResponse put_done;
    put.set_key("key");
    ASSERT_TRUE(Call(kv, &etcdserverpb::KV::Stub::Put, put, &put_done).ok());
    EXPECT_EQ(server.Stop(), 0);
    EXPECT_TRUE(absl::StrContains(Content(segment), "TMJM")) << "stop " << stop;
    server.Start();
    ASSERT_TRUE(server.WaitReady()) << Content(server.log_path());
  }
}

TEST_F(ProcessTest, AutoTlsServesATrustedCertificateAndKeepsIt) {
  ServerOptions options;
  options.auto_tls = true;
  options.extra_flags = {"--self-signed-cert-validity=2"};
  ServerProcess& server = Start(Binary("TIDEMARK_BIN"), options);  // Status answered over TLS
  const std::string folder = server.data_directory() + "/fixtures/client";
  const std::string first = Content(folder + "/cert.pem");
  struct stat info {};
  ASSERT_EQ(stat((folder + "/key.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(server.Stop(), 0);
  server.Start();
  ASSERT_TRUE(server.WaitReady()) << Content(server.log_path());
  EXPECT_EQ(Content(folder + "/cert.pem"), first);
  EXPECT_TRUE(absl::StrContains(Content(server.log_path()), "serving client traffic securely"));
}

}  // namespace
}  // namespace tidemark::process
