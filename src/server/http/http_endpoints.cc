#include "src/server/http/http_endpoints.h"

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "src/base/check.h"
#include "src/base/log.h"
#include "src/kvstore/etcd_errors.h"

namespace tidemark::server {
namespace {

using etcdserverpb::AlarmType;

// Whoever asks more often than they can be answered is broken or hostile.
constexpr int kMaxWaitingScrapes = 16;

HttpResponse PlainText(int status, std::string body) {
  return {status,
          {{"content-type", "text/plain; charset=utf-8"}, {"x-content-type-options", "nosniff"}},
          std::move(body)};
}

HttpResponse JsonText(int status, std::string body) {
  return {status, {{"content-type", "application/json"}}, std::move(body)};
}

HttpResponse NotFound() { return PlainText(404, "404 page not found\n"); }

std::string Unescape(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    if (text[i] == '+') {
      out.push_back(' ');
    } else if (text[i] == '%' && i + 2 < text.size() &&
               absl::SimpleHexAtoi(text.substr(i + 1, 2), &code)) {
      out.push_back(static_cast<char>(code));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// The checks of a root, in the order of etcd's answers.
std::vector<std::string> ChecksOf(const std::string& root) {
  if (root == "/livez") return {"serializable_read"};
  return {"data_corruption", "serializable_read", "linearizable_read", "non_learner"};
}

std::string MessageOf(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

// As Go's net.SplitHostPort: the brackets of an IPv6 address go with the port; without one
// everything stays.
std::string HostWithoutPort(absl::string_view host) {
  const size_t bracket = host.rfind(']');
  const size_t colon = host.rfind(':');
  if (colon == absl::string_view::npos) return std::string(host);
  if (bracket == absl::string_view::npos) {
    return std::string(host.find(':') == colon ? host.substr(0, colon) : host);
  }
  if (host.front() != '[' || colon != bracket + 1) return std::string(host);
  return std::string(host.substr(1, bracket - 1));
}

}  // namespace

struct HttpEndpoints::Query {
  std::multimap<std::string, std::string> items;

  explicit Query(absl::string_view raw) {
    for (absl::string_view part : absl::StrSplit(raw, '&', absl::SkipEmpty())) {
      std::pair<absl::string_view, absl::string_view> item =
          absl::StrSplit(part, absl::MaxSplits('=', 1));
      items.emplace(Unescape(item.first), Unescape(item.second));
    }
  }
  bool Has(const std::string& name) const { return items.count(name) > 0; }
  std::string First(const std::string& name) const {
    auto it = items.find(name);
    return it == items.end() ? "" : it->second;
  }
  absl::flat_hash_set<std::string> All(const std::string& name) const {
    absl::flat_hash_set<std::string> values;
    for (auto [it, end] = items.equal_range(name); it != end; ++it) values.insert(it->second);
    return values;
  }
};

// A run over several checks, one after another.
struct HttpEndpoints::CheckRun {
  std::string root;
  std::vector<std::string> names;
  size_t next = 0;
  bool verbose = false;
  bool failed = false;
  std::string lines;
  Respond respond;
};

HttpEndpoints::HttpEndpoints(HttpOptions options) : options_(std::move(options)) {
  CHECK(options_.scrapes != nullptr && options_.metrics_text);
}

HttpHandler HttpEndpoints::ClientHandler() {
  return [this](HttpRequest request, Respond respond) {
    Serve(std::move(request), std::move(respond), /*metrics_only=*/false);
  };
}

HttpHandler HttpEndpoints::MetricsHandler() {
  return [this](HttpRequest request, Respond respond) {
    Serve(std::move(request), std::move(respond), /*metrics_only=*/true);
  };
}

void HttpEndpoints::AddCors(absl::string_view origin, HttpResponse& response) const {
  std::string allowed;
  for (const std::string& item : options_.cors) {
    if (item == "*") allowed = "*";
    if (allowed.empty() && !origin.empty() && item == origin) allowed = item;
  }
  if (allowed.empty()) return;
  response.headers.emplace_back("access-control-allow-origin", allowed);
  response.headers.emplace_back("access-control-allow-methods", "POST, GET, OPTIONS, PUT, DELETE");
  response.headers.emplace_back("access-control-allow-headers",
                                "accept, content-type, authorization");
}

void HttpEndpoints::Serve(HttpRequest request, Respond plain_respond, bool metrics_only) {
  if (metrics_only) {
    if (!ServeCommon(request, plain_respond)) plain_respond(NotFound());
    return;
  }
  if (!request.peer.tls && !options_.host_whitelist.empty()) {
    std::optional<absl::string_view> host = request.headers.Find("host");
    if (!host.has_value()) host = request.headers.Find(":authority");
    const std::string name = HostWithoutPort(host.value_or(""));
    const auto& list = options_.host_whitelist;
    if (std::find(list.begin(), list.end(), "*") == list.end() &&
        std::find(list.begin(), list.end(), name) == list.end()) {
      return plain_respond(PlainText(
          421, absl::StrCat("host \"", name, "\" is not in --host-whitelist of this server\n")));
    }
  }
  Respond respond = [this, origin = std::string(request.headers.Find("origin").value_or("")),
                     plain_respond = std::move(plain_respond)](HttpResponse response) {
    AddCors(origin, response);
    plain_respond(std::move(response));
  };
  if (request.method == "OPTIONS") return respond({200, {}, ""});
  if (ServeCommon(request, respond)) return;
  if (request.path == "/version") {
    if (request.method != "GET") {
      return respond({405, {{"allow", "GET"}}, "Method Not Allowed\n"});
    }
    nlohmann::ordered_json json = {{"etcdserver", options_.version},
                                   {"etcdcluster", options_.cluster_version},
                                   {"storage", options_.storage_version}};
    return respond(JsonText(200, json.dump()));
  }
  if (request.path == "/debug/vars") {
    partition::Router* router = router_.load();
    partition::NodeStatus status = router == nullptr ? partition::NodeStatus() : router->Status();
    nlohmann::ordered_json json = {{"cmdline", {"tidemark"}},
                                   {"raft.status",
                                    {{"term", status.term.value()},
                                     {"commit", status.committed.value()},
                                     {"applied", status.applied.value()}}}};
    return respond(JsonText(200, json.dump() + "\n"));
  }
  bool gateway =
      absl::StartsWith(request.path, "/v3/") || absl::StartsWith(request.path, "/v3beta/");
  if (gateway && options_.enable_grpc_gateway) {
    return respond(JsonText(501,
                            R"({"code":12,"message":"not implemented by this version of Tidemark: )"
                            R"(the JSON gateway"})"));
  }
  respond(NotFound());
}

void HttpEndpoints::ServeMetrics(const Respond& respond) {
  if (scrapes_waiting_.fetch_add(1) >= kMaxWaitingScrapes) {
    --scrapes_waiting_;
    return respond(PlainText(503, "too many scrapes at once\n"));
  }
  options_.scrapes->Run([this, respond] {
    respond({200,
             {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
             options_.metrics_text()});
    --scrapes_waiting_;
  });
}

bool HttpEndpoints::ServeCommon(const HttpRequest& request, const Respond& respond) {
  const std::string& path = request.path;
  if (path == "/metrics") {
    ServeMetrics(respond);
    return true;
  }
  bool health = path == "/health";
  std::string root;
  for (const char* candidate : {"/livez", "/readyz"}) {
    if (path == candidate || absl::StartsWith(path, absl::StrCat(candidate, "/"))) root = candidate;
  }
  if (!health && root.empty()) return false;
  if (request.method != "GET") {
    HttpResponse refused = PlainText(405, "Method Not Allowed\n");
    refused.headers.emplace_back("allow", "GET");
    respond(std::move(refused));
  } else if (health) {
    ServeHealth(request, respond);
  } else {
    ServeChecks(request, respond, root);
  }
  return true;
}

// One read on behalf of a health check, answered by the store or by its time running out.
struct HttpEndpoints::Probe {
  std::atomic<bool> is_over{false};  // for the store: the read may be dropped
  absl::AnyInvocable<void(absl::Status)> done;

  void End(absl::Status status) {
    if (!is_over.exchange(true)) std::exchange(done, nullptr)(std::move(status));
  }
};

void HttpEndpoints::ProbeRead(bool serializable, absl::AnyInvocable<void(absl::Status)> done) {
  partition::Router* router = router_.load();
  if (router == nullptr) return done(kvstore::ErrNoLeader());
  auto probe = std::make_shared<Probe>();
  probe->done = std::move(done);
  Executor& timers = *timers_.load();
  const TimerId timer = timers.PostAt(options_.clock->Monotonic() + options_.probe_timeout,
                                      [probe] { probe->End(kvstore::ErrTimeout()); });
  etcdserverpb::RangeRequest request;
  request.set_key("health");
  request.set_limit(1);
  request.set_keys_only(true);
  request.set_serializable(serializable);
  partition::CallContext context;
  context.cancelled = std::shared_ptr<const std::atomic<bool>>(probe, &probe->is_over);
  router->Range(
      std::move(context), std::move(request),
      [probe, &timers, timer](absl::StatusOr<kvstore::Reply<kvstore::RangeResult>> reply) {
        timers.Cancel(timer);
        probe->End(reply.status());
      });
}

void HttpEndpoints::ServeHealth(const HttpRequest& request, Respond respond) {
  auto answer = [this, respond](const std::string& reason) {
    if (options_.count_check) options_.count_check("health", "health", reason.empty());
    nlohmann::ordered_json json = {{"health", reason.empty() ? "true" : "false"},
                                   {"reason", reason}};
    if (!reason.empty()) TLOG(kWarn, "serving /health false", {{"reason", reason}});
    const std::string text =
        json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    // etcd names no type here, so Go finds this one.
    constexpr char kPlain[] = "text/plain; charset=utf-8";
    if (reason.empty()) return respond({200, {{"content-type", kPlain}}, text});
    respond(PlainText(503, text + "\n"));
  };
  Query query(request.query);
  bool serializable = query.First("serializable") == "true";
  absl::flat_hash_set<std::string> excluded = query.All("exclude");
  partition::Router* router = router_.load();
  if (router == nullptr) return answer("RAFT NO LEADER");
  partition::NodeStatus status = router->Status();
  for (const partition::AlarmEntry& alarm : status.alarms) {
    std::string name = AlarmType_IsValid(alarm.type) ? AlarmType_Name(alarm.type) : "UNKNOWN";
    if (excluded.contains(name)) continue;
    return answer(absl::StrCat("ALARM ", name));
  }
  if (!serializable && status.term.value() == 0) return answer("RAFT NO LEADER");
  ProbeRead(serializable, [answer](absl::Status read) {
    answer(read.ok() ? "" : absl::StrCat("RANGE ERROR:", read.message()));
  });
}

void HttpEndpoints::ServeChecks(const HttpRequest& request, Respond respond,
                                const std::string& root) {
  Query query(request.query);
  auto run = std::make_shared<CheckRun>();
  run->root = root;
  run->verbose = query.Has("verbose");
  run->respond = std::move(respond);
  std::vector<std::string> known = ChecksOf(root);
  if (request.path != root) {
    std::string name = request.path.substr(root.size() + 1);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return run->respond(NotFound());
    }
    run->names = {name};
    return RunChecks(run);
  }
  absl::flat_hash_set<std::string> excluded = query.All("exclude");
  for (const std::string& name : known) {
    if (excluded.erase(name) == 0) run->names.push_back(name);
  }
  if (!excluded.empty()) {
    TLOG(kWarn, "some health checks cannot be excluded",
         {{"missing-health-checks", *excluded.begin()}, {"count", excluded.size()}});
  }
  RunChecks(run);
}

void HttpEndpoints::RunChecks(std::shared_ptr<CheckRun> run) {
  if (run->next == run->names.size()) {
    if (run->failed) return run->respond(PlainText(503, run->lines));
    return run->respond(PlainText(200, (run->verbose ? run->lines : "") + "ok\n"));
  }
  std::string name = run->names[run->next++];
  RunCheck(name, [this, run, name](const std::string& reason) {
    if (options_.count_check) options_.count_check(run->root.substr(1), name, reason.empty());
    if (reason.empty()) {
      absl::StrAppend(&run->lines, "[+]", name, " ok\n");
    } else {
      run->failed = true;
      absl::StrAppend(&run->lines, "[-]", name, " failed: ", reason, "\n");
    }
    RunChecks(run);
  });
}

void HttpEndpoints::RunCheck(const std::string& name, absl::AnyInvocable<void(std::string)> done) {
  if (name == "non_learner") return done("");
  if (name == "data_corruption") {
    partition::Router* router = router_.load();
    std::string reason;
    if (router != nullptr) {
      for (const partition::AlarmEntry& alarm : router->Status().alarms) {
        if (alarm.type == etcdserverpb::CORRUPT) reason = "alarm activated: CORRUPT";
      }
    }
    return done(reason);
  }
  ProbeRead(name == "serializable_read", [done = std::move(done)](absl::Status read) mutable {
    done(read.ok() ? "" : MessageOf(read));
  });
}

}  // namespace tidemark::server
