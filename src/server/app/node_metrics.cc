#include "src/server/app/node_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/server/options/version.h"

namespace tidemark::server {
namespace {

using partition::NodeStatus;

// A gauge or counter that is a function of the node's status.
struct StatusFigure {
  const char* name;
  const char* help;
  double (*value)(const NodeStatus&);
};

constexpr StatusFigure kStatusGauges[] = {
    {"etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.",
     [](const NodeStatus& s) { return s.term.value() > 0 ? 1.0 : 0.0; }},
    {"etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.",
     [](const NodeStatus& s) { return s.term.value() > 0 ? 1.0 : 0.0; }},
    {"etcd_server_is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise.",
     [](const NodeStatus&) { return 0.0; }},
    {"etcd_server_proposals_committed_total", "The total number of consensus proposals committed.",
     [](const NodeStatus& s) { return static_cast<double>(s.committed.value()); }},
    {"etcd_server_proposals_applied_total", "The total number of consensus proposals applied.",
     [](const NodeStatus& s) { return static_cast<double>(s.applied.value()); }},
    {"etcd_mvcc_db_total_size_in_bytes", "Total size of the retained data in bytes.",
     [](const NodeStatus& s) { return static_cast<double>(s.logical_bytes); }},
    {"etcd_mvcc_db_total_size_in_use_in_bytes", "Total size of the live data in bytes.",
     [](const NodeStatus& s) { return static_cast<double>(s.logical_live_bytes); }},
    {"etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.",
     [](const NodeStatus& s) { return static_cast<double>(s.quota_bytes); }},
    {"etcd_debugging_mvcc_keys_total", "Total number of keys.",
     [](const NodeStatus& s) { return static_cast<double>(s.live_keys); }},
    {"etcd_debugging_mvcc_current_revision", "The current revision of store.",
     [](const NodeStatus& s) { return static_cast<double>(s.revision.value()); }},
    {"etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store.",
     [](const NodeStatus& s) { return static_cast<double>(s.compact_revision.value()); }},
    {"etcd_debugging_mvcc_watcher_total", "Total number of watchers.",
     [](const NodeStatus& s) { return static_cast<double>(s.watchers); }},
    {"etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced slow watchers.",
     [](const NodeStatus& s) { return static_cast<double>(s.watchers_behind); }},
    {"tidemark_versions", "Versions of keys in memory, live and not yet compacted.",
     [](const NodeStatus& s) { return static_cast<double>(s.versions); }},
    {"tidemark_leases", "Leases that exist.",
     [](const NodeStatus& s) { return static_cast<double>(s.leases); }},
};

// Operations applied, summed over the partitions.
struct StoreFigure {
  const char* name;
  const char* help;
  std::atomic<int64_t> kvstore::PublishedStats::*value;
};

constexpr StoreFigure kStoreGauges[] = {
    {"etcd_server_proposals_pending", "The current number of pending proposals to commit.",
     &kvstore::PublishedStats::pending_writes},
    {"etcd_mvcc_db_open_read_transactions", "The number of currently open read transactions",
     &kvstore::PublishedStats::open_reads},
    {"etcd_debugging_mvcc_total_put_size_in_bytes",
     "The total size of put kv pairs seen by this member.",
     &kvstore::PublishedStats::put_bytes_total},
    {"tidemark_memory_segment_bytes", "Memory of the store's segments, on tmpfs by default.",
     &kvstore::PublishedStats::segment_bytes},
};
constexpr StoreFigure kStoreCounters[] = {
    {"etcd_mvcc_range_total", "Total number of ranges seen by this member.",
     &kvstore::PublishedStats::ranges_total},
    {"etcd_mvcc_put_total", "Total number of puts seen by this member.",
     &kvstore::PublishedStats::puts_total},
    {"etcd_mvcc_delete_total", "Total number of deletes seen by this member.",
     &kvstore::PublishedStats::deletes_total},
    {"etcd_mvcc_txn_total", "Total number of txns seen by this member.",
     &kvstore::PublishedStats::txns_total},
    {"etcd_debugging_mvcc_events_total", "Total number of events sent by this member.",
     &kvstore::PublishedStats::events_total},
    {"etcd_debugging_mvcc_db_compaction_keys_total", "Total number of db keys compacted.",
     &kvstore::PublishedStats::compacted_versions_total},
    {"etcd_server_slow_apply_total",
     "The total number of slow apply requests (likely overloaded from slow disk).",
     &kvstore::PublishedStats::slow_applies_total},
};

int64_t Sum(partition::LocalStore& store, std::atomic<int64_t> kvstore::PublishedStats::*value) {
  int64_t sum = 0;
  for (PartitionId id : store.map().ids()) {
    sum += (store.replica(id).stats().*value).load(std::memory_order_relaxed);
  }
  return sum;
}

void Raise(prometheus::Counter& counter, double value) {
  if (value > counter.Value()) counter.Increment(value - counter.Value());
}

void AddStatusFigures(Metrics& metrics, ServiceContext& context) {
  std::vector<std::pair<prometheus::Gauge*, double (*)(const NodeStatus&)>> gauges;
  for (const StatusFigure& figure : kStatusGauges) {
    gauges.emplace_back(&metrics.Gauge(figure.name, figure.help), figure.value);
  }
  std::string id = absl::StrCat(absl::Hex(context.options().member_id));
  std::vector<std::pair<prometheus::Gauge*, etcdserverpb::AlarmType>> alarms;
  for (auto type : {etcdserverpb::NOSPACE, etcdserverpb::CORRUPT}) {
    alarms.emplace_back(
        &metrics.Gauge("etcd_debugging_server_alarms",
                       "Alarms for every member in cluster. 1 for 'server_id' label with current "
                       "ID. 2 for 'alarm_type' label with type of this alarm",
                       {{"server_id", id}, {"alarm_type", etcdserverpb::AlarmType_Name(type)}}),
        type);
  }
  metrics.OnScrape([gauges, alarms, &context] {
    NodeStatus status = context.router().Status();
    for (const auto& [gauge, value] : gauges) gauge->Set(value(status));
    for (const auto& [gauge, type] : alarms) {
      bool raised = std::any_of(status.alarms.begin(), status.alarms.end(),
                                [t = type](const auto& alarm) { return alarm.type == t; });
      gauge->Set(raised ? 1 : 0);
    }
  });
}

void AddStoreFigures(Metrics& metrics, partition::LocalStore& store) {
  using Value = std::atomic<int64_t> kvstore::PublishedStats::*;
  std::vector<std::pair<prometheus::Counter*, Value>> counters;
  for (const StoreFigure& figure : kStoreCounters) {
    counters.emplace_back(&metrics.Counter(figure.name, figure.help), figure.value);
  }
  std::vector<std::pair<prometheus::Gauge*, Value>> gauges;
  for (const StoreFigure& figure : kStoreGauges) {
    gauges.emplace_back(&metrics.Gauge(figure.name, figure.help), figure.value);
  }
  metrics.OnScrape([counters, gauges, &store] {
    for (const auto& [counter, value] : counters) {
      Raise(*counter, static_cast<double>(Sum(store, value)));
    }
    for (const auto& [gauge, value] : gauges) {
      gauge->Set(static_cast<double>(Sum(store, value)));
    }
  });
}

// A gauge is a double: folded to the bits that one holds exactly.
double Folded(uint64_t hash) {
  constexpr int kExactBits = 53;
  return static_cast<double>((hash ^ hash >> kExactBits) & ((uint64_t{1} << kExactBits) - 1));
}

void AddStateHashes(Metrics& metrics, partition::LocalStore& store) {
  std::vector<std::pair<prometheus::Gauge*, const kvstore::PublishedStats*>> hashes;
  for (PartitionId id : store.map().ids()) {
    auto& gauge = metrics.Gauge("tidemark_state_hash",
                                "Hash over the live keys of a partition, folded to 53 bits.",
                                {{"partition", std::string(store.map().name(id))}});
    hashes.emplace_back(&gauge, &store.replica(id).stats());
  }
  metrics.OnScrape([hashes] {
    for (const auto& [gauge, stats] : hashes) {
      gauge->Set(Folded(stats->state_hash.load(std::memory_order_relaxed)));
    }
  });
}

void AddWholePartitions(Metrics& metrics, const partition::LocalStore& store) {
  std::vector<std::pair<prometheus::Gauge*, PartitionId>> gauges;
  for (PartitionId id : store.map().ids()) {
    auto& gauge = metrics.Gauge("tidemark_partition_serving",
                                "1 once a partition is whole after a start, and serves.",
                                {{"partition", std::string(store.map().name(id))}});
    gauges.emplace_back(&gauge, id);
  }
  metrics.OnScrape([gauges, &store] {
    for (const auto& [gauge, id] : gauges) gauge->Set(store.IsWhole(id) ? 1 : 0);
  });
}

void AddCheckpointFigures(Metrics& metrics, const partition::CheckpointStats& stats) {
  const char* made = "Checkpoints of partitions made.";
  auto& whole = metrics.Counter("tidemark_checkpoints_total", made, {{"kind", "whole"}});
  auto& increments = metrics.Counter("tidemark_checkpoints_total", made, {{"kind", "increment"}});
  auto& failures = metrics.Counter("tidemark_checkpoint_failures_total",
                                   "Checkpoints of partitions that failed and are tried again.");
  auto& written =
      metrics.Counter("tidemark_checkpoint_bytes_written_total", "Bytes written for checkpoints.");
  auto& took = metrics.Gauge("tidemark_checkpoint_last_duration_seconds",
                             "How long the last round over all partitions took.");
  auto& position = metrics.Gauge("tidemark_checkpoint_position",
                                 "Journal position that the oldest of the newest checkpoints "
                                 "stands for, as of the last round.");
  metrics.OnScrape([&] {
    Raise(whole, static_cast<double>(stats.whole.load()));
    Raise(increments, static_cast<double>(stats.increments.load()));
    Raise(failures, static_cast<double>(stats.failures.load()));
    Raise(written, static_cast<double>(stats.bytes_written.load()));
    took.Set(static_cast<double>(stats.last_duration_ms.load()) / 1000);
    position.Set(static_cast<double>(stats.oldest_position.load()));
  });
}

void AddBudgetFigures(Metrics& metrics, const MemoryBudget& budget) {
  metrics.Gauge("tidemark_memory_budget_limit_bytes", "What all accounts may hold together.")
      .Set(static_cast<double>(budget.limit_bytes()));
  for (const MemoryAccount account : kMemoryAccounts) {
    const Metrics::Labels labels = {{"account", std::string(NameOf(account))}};
    auto& used = metrics.Gauge("tidemark_memory_budget_bytes", "What an account holds.", labels);
    auto& refusals = metrics.Counter("tidemark_memory_budget_refusals_total",
                                     "What was refused because the share was used up.", labels);
    metrics
        .Gauge("tidemark_memory_budget_share_bytes",
               "What an account may hold: values with index, and reads with pinned, together.",
               labels)
        .Set(static_cast<double>(budget.share_bytes(account)));
    metrics.OnScrape([&budget, &used, &refusals, account] {
      used.Set(static_cast<double>(budget.used_bytes(account)));
      Raise(refusals, static_cast<double>(budget.refusals(account)));
    });
  }
}

void AddJournalFigures(Metrics& metrics, const journal::JournalStats& journal) {
  auto& written =
      metrics.Gauge("etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.");
  auto& size =
      metrics.Gauge("tidemark_journal_size_bytes",
                    "Size of the journal's files on disk, without those kept to be used again.");
  auto& failed = metrics.Counter("etcd_server_proposals_failed_total",
                                 "The total number of failed proposals seen.");
  metrics.OnScrape([&] {
    written.Set(static_cast<double>(journal.log.bytes_written.load()));
    size.Set(static_cast<double>(journal.log.size_bytes.load()));
    Raise(failed, static_cast<double>(journal.appends_refused.load()));
  });
}

void AddServiceFigures(Metrics& metrics, ServiceContext& context) {
  auto& streams =
      metrics.Gauge("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.");
  auto& granted =
      metrics.Counter("etcd_debugging_lease_granted_total", "The total number of granted leases.");
  auto& revoked =
      metrics.Counter("etcd_debugging_lease_revoked_total", "The total number of revoked leases.");
  auto& renewed = metrics.Counter("etcd_debugging_lease_renewed_total",
                                  "The number of renewed leases seen by the leader.");
  auto& expired = metrics.Counter("etcd_debugging_server_lease_expired_total",
                                  "The total number of expired leases.");
  metrics.OnScrape([&] {
    // etcd revokes those that expire, and counts them among the others.
    const auto leases_expired = static_cast<double>(context.router().Status().leases_expired_total);
    Raise(expired, leases_expired);
    const ServiceCounters& counters = context.counters();
    streams.Set(static_cast<double>(counters.watch_streams.load()));
    Raise(granted, static_cast<double>(counters.leases_granted.load()));
    Raise(revoked, static_cast<double>(counters.leases_revoked.load()) + leases_expired);
    Raise(renewed, static_cast<double>(counters.leases_renewed.load()));
  });
}

// Constant for a single node.
void AddConstants(Metrics& metrics, const ServiceContext& context,
                  const std::map<std::string, bool>& feature_gates) {
  metrics
      .Gauge("etcd_server_version",
             "Which version is running. 1 for 'server_version' label "
             "with current version.",
             {{"server_version", std::string(kEtcdVersion)}})
      .Set(1);
  metrics
      .Gauge("etcd_cluster_version",
             "Which version is running. 1 for 'cluster_version' label "
             "with current cluster version",
             {{"cluster_version", std::string(kClusterVersion.substr(0, 3))}})
      .Set(1);
  metrics
      .Gauge("etcd_server_id",
             "Server or member ID in hexadecimal format. 1 for 'server_id' "
             "label with current ID.",
             {{"server_id", absl::StrCat(absl::Hex(context.options().member_id))}})
      .Set(1);
  metrics
      .Gauge("tidemark_version", "Which version of Tidemark is running.",
             {{"version", std::string(kTidemarkVersion)}})
      .Set(1);
  for (const auto& [name, on] : feature_gates) {
    metrics
        .Gauge("etcd_server_feature_enabled", "Whether or not a feature is enabled.",
               {{"name", name}, {"stage", name == "FastLeaseKeepAlive" ? "BETA" : "ALPHA"}})
        .Set(on ? 1 : 0);
  }
  for (const char* zero :
       {"etcd_server_leader_changes_seen_total", "etcd_server_slow_read_indexes_total",
        "etcd_server_read_indexes_failed_total", "etcd_server_heartbeat_send_failures_total",
        "etcd_server_learner_promote_successes"}) {
    metrics.Counter(zero, "Always zero on a single node.");
  }
  metrics.Gauge("etcd_server_snapshot_apply_in_progress_total", "Always zero on a single node.");
  std::string self = absl::StrCat(absl::Hex(context.options().member_id));
  metrics
      .Gauge("etcd_network_known_peers", "The current number of known peers.",
             {{"Local", self}, {"Remote", self}})
      .Set(1);
}

}  // namespace

void AddNodeMetrics(Metrics& metrics, NodeParts parts,
                    const std::map<std::string, bool>& feature_gates) {
  AddStatusFigures(metrics, parts.context);
  AddStoreFigures(metrics, parts.store);
  AddStateHashes(metrics, parts.store);
  AddWholePartitions(metrics, parts.store);
  AddCheckpointFigures(metrics, parts.store.checkpoint_stats());
  AddBudgetFigures(metrics, parts.budget);
  AddJournalFigures(metrics, parts.journal);
  AddServiceFigures(metrics, parts.context);
  AddConstants(metrics, parts.context, feature_gates);
}

void ObserveJournal(Metrics& metrics, journal::EmbeddedJournalOptions& options) {
  auto histogram = [&metrics](const char* name, const char* help) {
    return &metrics.Histogram(name, help, {}, 0.001, 2, 14);
  };
  auto* write = histogram("etcd_disk_wal_write_duration_seconds",
                          "The latency distributions of write called by WAL.");
  auto* sync = histogram("etcd_disk_wal_fsync_duration_seconds",
                         "The latency distributions of fsync called by WAL.");
  auto* commit = histogram("etcd_disk_backend_commit_duration_seconds",
                           "The latency distributions of commit called by backend.");
  // One block is on its way at a time: its sync follows its write, on whichever thread.
  auto write_seconds = std::make_shared<std::atomic<double>>(0);
  options.observe_write = [write, write_seconds](absl::Duration took) {
    double seconds = absl::ToDoubleSeconds(took);
    write->Observe(seconds);
    write_seconds->store(seconds);
  };
  options.observe_sync = [sync, commit, write_seconds](absl::Duration took) {
    double seconds = absl::ToDoubleSeconds(took);
    sync->Observe(seconds);
    commit->Observe(write_seconds->load() + seconds);
  };
}

std::function<void(absl::Duration)> CompactionObserver(Metrics& metrics, const Clock& clock) {
  auto* last = &metrics.Gauge("etcd_debugging_mvcc_db_compaction_last",
                              "The unix time of the last db compaction. Resets to 0 on start.");
  auto* took_milliseconds =
      &metrics.Histogram("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
                         "Bucketed histogram of db compaction total duration.", {}, 100, 2, 14);
  return [last, took_milliseconds, &clock](absl::Duration took) {
    last->Set(static_cast<double>(absl::ToUnixSeconds(clock.Wall())));
    took_milliseconds->Observe(absl::ToDoubleMilliseconds(took));
  };
}

std::function<void(int64_t ttl_seconds)> LeaseTtlObserver(Metrics& metrics) {
  auto* ttl = &metrics.Histogram("etcd_debugging_lease_ttl_total",
                                 "Bucketed histogram of lease TTLs.", {}, 1, 2, 24);
  return [ttl](int64_t ttl_seconds) { ttl->Observe(static_cast<double>(ttl_seconds)); };
}

std::function<std::string()> CountedScrapes(Metrics& metrics) {
  auto* serving = &metrics.Gauge("promhttp_metric_handler_requests_in_flight",
                                 "Current number of scrapes being served.");
  prometheus::Counter* served = nullptr;
  for (const char* code : {"503", "500", "200"}) {
    served = &metrics.Counter("promhttp_metric_handler_requests_total",
                              "Total number of scrapes by HTTP status code.", {{"code", code}});
  }
  return [&metrics, serving, served] {
    serving->Increment();
    std::string text = metrics.Text();
    serving->Decrement();
    served->Increment();
    return text;
  };
}

}  // namespace tidemark::server
