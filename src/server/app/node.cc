#include "src/server/app/node.h"

#include <linux/magic.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <sys/statfs.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/log.h"
#include "src/base/tmpfs_mapper.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"
#include "src/server/app/file_limit.h"
#include "src/server/app/machine_share.h"
#include "src/server/app/memory_dir.h"
#include "src/server/app/node_metrics.h"
#include "src/server/app/systemd.h"
#include "src/server/options/version.h"
#include "src/server/services/services.h"

namespace tidemark::server {
namespace {

size_t Cores() { return AvailableCores(std::thread::hardware_concurrency()); }

// The other half is for the journal, checkpoints and the kernel; a second loop on two cores only
// adds hand-overs (docs/performance.md).
size_t DefaultEventLoops() { return std::max<size_t>(1, Cores() / 2); }

bool IsTmpfs(const std::string& directory) {
  struct statfs info {};
  return statfs(directory.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC;
}

absl::StatusOr<partition::PartitionMap> MakePartitionMap(const Options& options) {
  if (options.single_partition) return partition::PartitionMap::Single();
  std::string text = options.partitions;
  if (!options.partitions_file.empty()) {
    std::ifstream in(options.partitions_file);
    std::ostringstream content;
    if (!in || !(content << in.rdbuf())) {
      return absl::InvalidArgumentError(
          absl::StrCat("--partitions-file ", options.partitions_file, " cannot be read"));
    }
    text = content.str();
  }
  return partition::PartitionMap::Parse(text);
}

partition::AutoCompaction MakeAutoCompaction(const CompactionOptions& options) {
  partition::AutoCompaction compaction;
  switch (options.mode) {
    case CompactionOptions::Mode::kOff:
      break;
    case CompactionOptions::Mode::kPeriodic:
      compaction.mode = partition::AutoCompaction::Mode::kPeriodic;
      compaction.period = options.retention;
      break;
    case CompactionOptions::Mode::kRevision:
      compaction.mode = partition::AutoCompaction::Mode::kRevision;
      compaction.retained_revisions = options.retention_revisions;
      break;
  }
  return compaction;
}

std::vector<std::string> Texts(const std::vector<Url>& urls) {
  std::vector<std::string> texts;
  texts.reserve(urls.size());
  for (const Url& url : urls) texts.push_back(url.text);
  return texts;
}

ServiceContext::CountClient ClientCounter(Metrics& metrics) {
  return [&metrics](bool stream, const std::string& version) -> std::function<void()> {
    prometheus::Counter& counter =
        metrics.Counter("etcd_server_client_requests_total",
                        "The total number of client requests per client version.",
                        {{"type", stream ? "stream" : "unary"}, {"client_api_version", version}});
    return [&counter] { counter.Increment(); };
  };
}

}  // namespace

Node::Node(Options options) : options_(std::move(options)) {}

Node::~Node() { Stop(); }

absl::Status Node::Start() {
  absl::StatusOr<partition::PartitionMap> map = MakePartitionMap(options_);
  if (!map.ok()) return map.status();
  absl::StatusOr<OpenedDataDir> opened = OpenDataDir(files_, options_);
  if (!opened.ok()) return opened.status();
  data_dir_ = *std::move(opened);
  TLOG(kInfo, "opened data directory",
       {{"data-dir", options_.data_dir},
        {"fresh", data_dir_.fresh},
        {"member-id", absl::StrCat(absl::Hex(data_dir_.identity.member_id))},
        {"cluster-id", absl::StrCat(absl::Hex(data_dir_.identity.cluster_id))}});
  if (absl::Status s = OpenMemory(); !s.ok()) return s;
  SetBudget();
  CreateHttp();
  if (options_.client_tls.self_signed) {
    absl::Status s = EnsureSelfSigned(files_, SelfSignedFor(options_), clock_.Wall());
    if (!s.ok()) return s;
  }
  if (absl::Status s = Bind(); !s.ok()) return s;
  // Kept before a journal is made that says whose it is. One that is there already may be another
  // node's, and must not fix the identity that it refuses.
  const bool has_journal = files_.Exists(JournalDirectory() + "/owner");
  if (absl::Status s = has_journal ? OpenJournal() : KeepFreshIdentity(); !s.ok()) return s;
  if (absl::Status s = has_journal ? KeepFreshIdentity() : OpenJournal(); !s.ok()) return s;
  if (absl::Status s = OpenCheckpoints(); !s.ok()) return s;
  CreateStore(*std::move(map));
  CreateServices();
  store_->Start([this](absl::Status status) {
    MutexLock lock(&mutex_);
    store_started_ = true;
    store_status_ = std::move(status);
  });
  return absl::OkStatus();
}

absl::Status Node::OpenMemory() {
  const std::string directory = MemoryDirOf(options_.data_dir, options_.memory_dir);
  absl::StatusOr<std::unique_ptr<TmpfsMapper>> mapper =
      TmpfsMapper::Lock(directory, std::make_shared<ThreadBlockingRunner>("tm-memory"));
  if (mapper.ok() && IsTmpfs(directory)) {
    memory_ = *std::move(mapper);
    TLOG(kInfo, "store memory is on tmpfs", {{"memory-dir", directory}});
    return absl::OkStatus();
  }
  absl::Status why =
      mapper.ok() ? absl::FailedPreconditionError("it is not on tmpfs") : mapper.status();
  if (!options_.allow_anonymous_memory) {
    return absl::Status(why.code(),
                        absl::StrCat("--memory-dir ", directory, ": ", why.message(),
                                     " (give a directory on tmpfs, or --allow-anonymous-memory)"));
  }
  TLOG(kWarn, "store memory is anonymous: it does not survive a restart of the process",
       {{"memory-dir", directory}, {"reason", why.message()}});
  memory_ = std::make_unique<AnonymousMapper>();
  return absl::OkStatus();
}

void Node::SetBudget() {
  auto limit_bytes = static_cast<int64_t>(options_.memory_budget_bytes);
  if (limit_bytes == 0) {
    limit_bytes = DefaultBudgetBytes(AvailableMemoryBytes(), memory_->space().total_bytes);
  }
  budget_ = std::make_unique<MemoryBudget>(limit_bytes);
  TLOG(kInfo, "memory budget",
       {{"limit-bytes", limit_bytes},
        {"data-bytes", budget_->share_bytes(MemoryAccount::kValues)},
        {"reads-bytes", budget_->share_bytes(MemoryAccount::kReads)},
        {"watches-bytes", budget_->share_bytes(MemoryAccount::kWatches)},
        {"connections-bytes", budget_->share_bytes(MemoryAccount::kConnections)}});
}

absl::Status Node::KeepFreshIdentity() {
  if (!data_dir_.fresh) return absl::OkStatus();
  return KeepIdentity(files_, options_.data_dir, data_dir_.identity);
}

std::string Node::JournalDirectory() const {
  return options_.wal_dir.empty() ? options_.data_dir + "/journal" : options_.wal_dir;
}

absl::Status Node::OpenJournal() {
  journal_executor_ = std::make_unique<ThreadExecutor>("tm-journal", clock_);
  journal::EmbeddedJournalOptions journal;
  journal.directory = JournalDirectory();
  journal.owner = OwnerText(data_dir_.identity);
  journal.segment_bytes = options_.journal_segment_bytes;
  journal.file_system = &files_;
  journal.unsafe_no_sync = options_.unsafe_no_fsync;
  journal.writes_directly = options_.journal_direct_writes;
  journal.clock = &clock_;
  journal.random = &random_;
  journal.executor = journal_executor_.get();
  journal.runner = &disk_;
  journal_side_ = std::make_unique<ThreadBlockingRunner>("tm-journal-side");
  journal.side_runner = journal_side_.get();
  ObserveJournal(metrics_, journal);
  absl::StatusOr<std::unique_ptr<journal::EmbeddedJournal>> opened =
      journal::EmbeddedJournal::Open(std::move(journal));
  if (!opened.ok()) return opened.status();
  journal_ = *std::move(opened);
  return absl::OkStatus();
}

absl::Status Node::OpenCheckpoints() {
  kvstore::RocksCheckpointOptions checkpoints;
  checkpoints.directory = options_.data_dir + "/checkpoints";
  checkpoints.store = journal_->store_id();
  checkpoints.file_system = &files_;
  const Position first = journal_->KnownFirst();
  checkpoints.may_begin_anew = first == Position(1);
  absl::StatusOr<std::unique_ptr<kvstore::CheckpointStore>> opened =
      kvstore::OpenRocksCheckpointStore(checkpoints);
  if (absl::IsDataLoss(opened.status())) {
    return absl::DataLossError(
        absl::StrCat(opened.status().message(), ". The journal begins at ", first.value(),
                     " and cannot replace them: with them, what was written before is lost here"));
  }
  if (!opened.ok()) return opened.status();
  checkpoints_ = *std::move(opened);
  checkpoint_disk_ = std::make_unique<ThreadBlockingRunner>("tm-checkpoint");
  return absl::OkStatus();
}

// Unless told otherwise, partitions live on the event loops: on few cores a hand-over between
// threads costs more than the work that is handed over.
std::vector<Executor*> Node::StoreExecutors(size_t partitions) {
  std::vector<Executor*> executors;
  if (options_.store_threads == 0) {
    for (size_t i = 0; i < std::min(transport_->loop_count(), partitions); ++i) {
      executors.push_back(&transport_->loop(i));
    }
    return executors;
  }
  for (size_t i = 0; i < std::min<size_t>(options_.store_threads, partitions); ++i) {
    store_executors_.push_back(
        std::make_unique<ThreadExecutor>(absl::StrCat("tm-store-", i), clock_));
    executors.push_back(store_executors_.back().get());
  }
  return executors;
}

void Node::CreateStore(partition::PartitionMap map) {
  partition::LocalStoreDoors doors;
  doors.executors = StoreExecutors(map.size());
  doors.clock = &clock_;
  doors.random = &random_;
  doors.journal = journal_.get();
  doors.memory = memory_.get();
  workers_ = std::make_unique<ThreadPool>("tm-start", Cores());
  doors.workers = workers_.get();
  doors.budget = budget_.get();
  doors.checkpoints = checkpoints_.get();
  doors.checkpoint_disk = checkpoint_disk_.get();
  doors.journal_bytes = [this] {
    return journal_->stats().log.size_bytes.load(std::memory_order_relaxed);
  };
  partition::LocalStoreOptions store;
  store.map = std::move(map);
  store.identity = journal_->store_id();
  store.history = journal_->history();
  store.checkpoints.journal_bytes = options_.checkpoint_journal_bytes;
  store.checkpoints.interval = options_.checkpoint_interval;
  store.member_id = data_dir_.identity.member_id;
  store.quota_bytes = options_.quota_bytes;
  store.max_request_bytes = options_.max_request_bytes;
  store.max_txn_ops = options_.max_txn_ops;
  store.min_lease_ttl_seconds = options_.min_lease_ttl_seconds();
  store.auto_compaction = MakeAutoCompaction(options_.compaction);
  store.slow_apply = options_.warning_apply_duration;
  store.request_patience = options_.request_timeout();
  store.observe_compaction = CompactionObserver(metrics_, clock_);
  store_ = partition::LocalStore::Create(std::move(store), std::move(doors));
}

void Node::CreateServices() {
  ServiceOptions services;
  services.cluster_id = data_dir_.identity.cluster_id;
  services.member_id = data_dir_.identity.member_id;
  services.name = options_.name;
  services.peer_urls = data_dir_.identity.peer_urls;
  services.client_urls = Texts(options_.advertise_client_urls);
  services.version = std::string(kEtcdVersion);
  services.storage_version = std::string(kStorageVersion);
  services.request_timeout = options_.request_timeout();
  services.warning_unary_request_duration = options_.warning_unary_request_duration;
  services.watch_progress_notify_interval = options_.watch_progress_notify_interval;
  services.max_request_bytes = options_.max_request_bytes;
  services.budget = budget_.get();
  services.observe_lease_ttl = LeaseTtlObserver(metrics_);
  services_ = std::make_unique<ServiceContext>(std::move(services), store_->router(), clock_,
                                               random_, ClientCounter(metrics_));
  std::vector<Method> methods = AllMethods(*services_);
  call_metrics_ = std::make_unique<CallMetrics>(metrics_, methods, options_.extensive_metrics);
  traffic_metrics_ = std::make_unique<TrafficMetrics>(metrics_);
  AddNodeMetrics(metrics_, {*store_, journal_->stats(), *services_, *budget_},
                 options_.feature_gates);
  AddProcessMetrics(metrics_, clock_.Wall());
  transport_->SetMethods(std::move(methods));
  transport_->SetTrafficObserver(traffic_metrics_.get());
  transport_->Start();
}

void Node::CreateHttp() {
  HttpOptions http;
  http.version = std::string(kEtcdVersion);
  http.cluster_version = std::string(kClusterVersion);
  http.storage_version = std::string(kStorageVersion);
  http.cors = options_.cors;
  http.host_whitelist = options_.host_whitelist;
  http.enable_grpc_gateway = options_.enable_grpc_gateway;
  http.metrics_text = CountedScrapes(metrics_);
  scrapes_ = std::make_unique<ThreadBlockingRunner>("tm-metrics");
  http.scrapes = scrapes_.get();
  http.clock = &clock_;
  http.probe_timeout = options_.request_timeout();
  prometheus::Counter& success = metrics_.Counter("etcd_server_health_success",
                                                  "The total number of successful health checks");
  prometheus::Counter& failures =
      metrics_.Counter("etcd_server_health_failures", "The total number of failed health checks");
  http.count_check = [this, &success, &failures](const std::string& type, const std::string& name,
                                                 bool ok) {
    if (type == "health") return (ok ? success : failures).Increment();
    metrics_
        .Gauge("etcd_server_healthcheck", "The result of each kind of healthcheck.",
               {{"type", type}, {"name", name}})
        .Set(ok ? 1 : 0);
    metrics_
        .Counter("etcd_server_healthchecks_total", "The total number of each kind of healthcheck.",
                 {{"type", type}, {"name", name}, {"status", ok ? "success" : "error"}})
        .Increment();
  };
  http_ = std::make_unique<HttpEndpoints>(std::move(http));
}

absl::Status Node::Bind() {
  size_t loops = options_.event_loops == 0 ? DefaultEventLoops() : options_.event_loops;
  TransportOptions transport = MakeTransportOptions(options_, loops);
  transport.max_connections =
      std::min(transport.max_connections, ConnectionsMax(FileLimit())) - kMetricsConnectionsMax;
  transport_ = std::make_unique<Transport>(clock_, transport);
  transport_->SetHttpHandler(http_->ClientHandler());
  transport_->SetBudget(budget_.get());
  TransportOptions metrics = MakeTransportOptions(options_, 1);
  metrics.max_connections = kMetricsConnectionsMax;
  metrics.replaces_idle_connections = true;  // who holds them all shall not silence the probes
  metrics_transport_ = std::make_unique<Transport>(clock_, metrics);
  metrics_transport_->SetHttpHandler(http_->MetricsHandler());
  auto bind = [this](Transport& transport, std::vector<PlannedListener> plans) -> absl::Status {
    for (PlannedListener& plan : plans) {
      absl::StatusOr<Transport::ListenerId> id = transport.AddListener(plan.spec);
      if (!id.ok()) return id.status();
      if (plan.spec.address.unix_path.empty() && plan.spec.address.port == 0) {
        plan.address = plan.address.substr(0, plan.address.rfind(':'));
        absl::StrAppend(&plan.address, ":", transport.port(*id));
      }
      bound_.push_back({&transport, *id, std::move(plan)});
    }
    return absl::OkStatus();
  };
  if (absl::Status s = bind(*transport_, PlanClientListeners(options_)); !s.ok()) return s;
  if (absl::Status s = bind(*metrics_transport_, PlanMetricsListeners(options_)); !s.ok()) return s;
  metrics_transport_->Start();
  for (const Bound& bound : bound_) {
    if (bound.transport == metrics_transport_.get()) bound.transport->Accept(bound.id);
  }
  return absl::OkStatus();
}

Node::State Node::Poll() {
  bool started = false;
  {
    MutexLock lock(&mutex_);
    started = store_started_;
    if (!store_status_.ok()) return State::kFailed;
  }
  services_->RefreshTerm();
  if (!accepting_ && store_->whole_count() > 0) Accept();
  if (!started) return State::kStarting;
  if (!serving_) Serve();
  return State::kServing;
}

absl::Status Node::failure() const {
  MutexLock lock(&mutex_);
  return store_status_;
}

// Some partitions are whole: what concerns only them is served, the rest waits for its time.
void Node::Accept() {
  accepting_ = true;
  for (const Bound& bound : bound_) {
    if (bound.transport == transport_.get()) bound.transport->Accept(bound.id);
  }
}

void Node::Serve() {
  serving_ = true;
  workers_.reset();                                           // only a start needs them
  http_->SetRouter(&store_->router(), &transport_->loop(0));  // from now on it is healthy
  TLOG(kInfo, "ready to serve client requests");
  for (const Bound& bound : bound_) {
    if (bound.transport != transport_.get()) {
      TLOG(kInfo, "serving metrics", {{"address", bound.plan.address}});
      continue;
    }
    bool secure = bound.plan.spec.tls.has_value();
    TLOG(kInfo,
         secure ? "serving client traffic securely"
                : "serving client traffic insecurely; this is strongly discouraged!",
         {{"traffic", bound.plan.traffic}, {"address", bound.plan.address}});
  }
  NotifySystemd("READY=1");
}

void Node::Stop() {
  if (stopped_) return;
  stopped_ = true;
  NotifySystemd("STOPPING=1");
  for (Transport* transport : {transport_.get(), metrics_transport_.get()}) {
    if (transport != nullptr) transport->BeginShutdown(options_.request_timeout());
  }
  for (Transport* transport : {transport_.get(), metrics_transport_.get()}) {
    if (transport != nullptr) transport->Join();
  }
  scrapes_.reset();  // what it still answers knows the store
  if (store_ != nullptr) store_->Stop();
  for (auto& executor : store_executors_) executor->Drain();  // the store stops there
  for (auto& executor : store_executors_) executor->Stop();  // before the workers they give work to
  workers_.reset();
  if (journal_ != nullptr) journal_->Stop();
  if (journal_executor_ != nullptr) journal_executor_->Drain();  // what a stop has to write
  if (journal_executor_ != nullptr) journal_executor_->Stop();
  services_.reset();
  checkpoint_disk_.reset();  // what it still writes knows the store
  store_.reset();
  checkpoints_.reset();
  journal_.reset();
}

}  // namespace tidemark::server
