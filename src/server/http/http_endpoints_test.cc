// Paths, bodies and status codes from contract 9.3.
#include "src/server/http/http_endpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/server/services/fakes_for_test.h"

namespace tidemark::server {
namespace {

using ::testing::HasSubstr;

class HttpTest : public ::testing::Test {
 protected:
  HttpTest() {
    router_.status.term = Term(2);
    router_.answer_range = [this](const etcdserverpb::RangeRequest& request) {
      if (!request.serializable() && !linearizable_.ok()) {
        return absl::StatusOr<kvstore::Reply<kvstore::RangeResult>>(linearizable_);
      }
      return absl::StatusOr<kvstore::Reply<kvstore::RangeResult>>(
          kvstore::Reply<kvstore::RangeResult>());
    };
    MakeEndpoints({"*"}, {"*"});
  }
  void MakeEndpoints(std::vector<std::string> cors, std::vector<std::string> hosts) {
    HttpOptions options;
    options.version = "3.7.1";
    options.cluster_version = "3.7.0";
    options.storage_version = "3.7.0";
    options.cors = std::move(cors);
    options.host_whitelist = std::move(hosts);
    options.metrics_text = [] { return "a_metric 1\n"; };
    options.scrapes = &scrapes_;
    options.clock = &loop_;
    endpoints_ = std::make_unique<HttpEndpoints>(std::move(options));
    endpoints_->SetRouter(&router_, &loop_);
  }
  HttpResponse Ask(const std::string& path, const std::string& query = "",
                   const std::string& method = "GET", bool metrics_only = false) {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.query = query;
    request.headers.Add("host", host_);
    request.headers.Add("origin", "http://o");
    HttpResponse answer;
    int answers = 0;
    auto handler = metrics_only ? endpoints_->MetricsHandler() : endpoints_->ClientHandler();
    handler(std::move(request), [&](HttpResponse response) {
      answer = std::move(response);
      ++answers;
    });
    EXPECT_EQ(answers, 1) << path;
    return answer;
  }
  static std::string HeaderOf(const HttpResponse& response, const std::string& name) {
    for (const auto& [n, value] : response.headers)
      if (n == name) return value;
    return "";
  }

  struct Scrapes : BlockingRunner {
    void Run(Task task) override {
      if (!holds) return task();
      held.push_back(std::move(task));
    }
    bool holds = false;
    std::vector<Task> held;
  };
  FakeLoop loop_;
  Scrapes scrapes_;
  FakeRouter router_;
  absl::Status linearizable_;
  std::string host_ = "example.com:2379";
  std::unique_ptr<HttpEndpoints> endpoints_;
};

TEST_F(HttpTest, Health) {
  HttpResponse good = Ask("/health");
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(good.body, R"({"health":"true","reason":""})");
  EXPECT_EQ(HeaderOf(good, "content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(Ask("/health", "", "POST").status, 405);
  EXPECT_EQ(HeaderOf(Ask("/health", "", "POST"), "allow"), "GET");

  linearizable_ = absl::UnavailableError("etcdserver: request timed out");
  HttpResponse bad = Ask("/health");
  EXPECT_EQ(bad.status, 503);
  EXPECT_EQ(bad.body,
            "{\"health\":\"false\",\"reason\":\"RANGE ERROR:etcdserver: request timed out\"}\n");
  EXPECT_EQ(Ask("/health", "serializable=true").status, 200);
}

// A disk that does not answer must not make those wait who ask about it.
TEST_F(HttpTest, HealthAnswersInTimeWhenTheStoreDoesNot) {
  router_.answer_range = nullptr;
  HttpRequest request;
  request.method = "GET";
  request.path = "/health";
  int answers = 0;
  HttpResponse answer;
  endpoints_->ClientHandler()(request, [&](HttpResponse response) {
    answer = std::move(response);
    ++answers;
  });
  loop_.Advance(absl::Seconds(6));
  EXPECT_EQ(answers, 0);
  EXPECT_FALSE(router_.range_contexts.back().cancelled->load());
  loop_.Advance(absl::Seconds(1));
  ASSERT_EQ(answers, 1);
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.body,
            "{\"health\":\"false\",\"reason\":\"RANGE ERROR:etcdserver: request timed out\"}\n");
  EXPECT_TRUE(router_.range_contexts.back().cancelled->load());
  router_.range_done.back()(kvstore::Reply<kvstore::RangeResult>());  // too late
  EXPECT_EQ(answers, 1);
  // One in time leaves no timer behind.
  endpoints_->ClientHandler()(request, [&](HttpResponse) { ++answers; });
  router_.range_done.back()(kvstore::Reply<kvstore::RangeResult>());
  EXPECT_EQ(answers, 2);
  EXPECT_EQ(loop_.timer_count(), 0);
}

TEST_F(HttpTest, HealthAlarmsAndLeader) {
  router_.status.alarms = {{1, etcdserverpb::NOSPACE}, {1, etcdserverpb::CORRUPT}};
  EXPECT_THAT(Ask("/health").body, HasSubstr("ALARM NOSPACE"));
  EXPECT_THAT(Ask("/health", "exclude=NOSPACE").body, HasSubstr("ALARM CORRUPT"));
  EXPECT_EQ(Ask("/health", "exclude=NOSPACE&exclude=CORRUPT").status, 200);
  router_.status.alarms.clear();
  router_.status.term = Term(0);
  EXPECT_THAT(Ask("/health").body, HasSubstr("RAFT NO LEADER"));
  EXPECT_EQ(Ask("/health", "serializable=true").status, 200);
}

TEST_F(HttpTest, Livez) {
  HttpResponse good = Ask("/livez");
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(good.body, "ok\n");
  EXPECT_EQ(HeaderOf(good, "content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(HeaderOf(good, "x-content-type-options"), "nosniff");
  EXPECT_EQ(Ask("/livez", "verbose").body, "[+]serializable_read ok\nok\n");
  EXPECT_EQ(Ask("/livez/serializable_read").status, 200);
  EXPECT_EQ(Ask("/livez/linearizable_read").status, 404);
  linearizable_ = absl::UnavailableError("etcdserver: request timed out");
  EXPECT_EQ(Ask("/livez").status, 200);
}

TEST_F(HttpTest, Readyz) {
  EXPECT_EQ(Ask("/readyz", "verbose").body,
            "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n"
            "[+]non_learner ok\nok\n");
  router_.status.alarms = {{1, etcdserverpb::NOSPACE}};
  EXPECT_EQ(Ask("/readyz").status, 200);
  router_.status.alarms = {{1, etcdserverpb::CORRUPT}};
  HttpResponse corrupt = Ask("/readyz");
  EXPECT_EQ(corrupt.status, 503);
  EXPECT_THAT(corrupt.body, HasSubstr("[-]data_corruption failed: alarm activated: CORRUPT\n"));
  EXPECT_THAT(corrupt.body, HasSubstr("[+]linearizable_read ok\n"));
  EXPECT_EQ(Ask("/readyz", "exclude=data_corruption&exclude=nobody").status, 200);
  EXPECT_EQ(Ask("/readyz", "verbose&exclude=data_corruption&exclude=serializable_read").body,
            "[+]linearizable_read ok\n[+]non_learner ok\nok\n");
  EXPECT_EQ(Ask("/readyz/data_corruption").status, 503);
  linearizable_ = absl::UnavailableError("etcdserver: request timed out");
  EXPECT_THAT(Ask("/readyz").body,
              HasSubstr("[-]linearizable_read failed: etcdserver: request timed out\n"));
}

TEST_F(HttpTest, BeforeServing) {
  endpoints_->SetRouter(nullptr, nullptr);
  EXPECT_EQ(Ask("/health", "", "GET", true).status, 503);
  EXPECT_EQ(Ask("/readyz", "", "GET", true).status, 503);
}

TEST_F(HttpTest, VersionMetricsGateway) {
  HttpResponse version = Ask("/version");
  EXPECT_EQ(version.body, R"({"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"})");
  EXPECT_EQ(HeaderOf(version, "content-type"), "application/json");
  EXPECT_EQ(Ask("/metrics").body, "a_metric 1\n");
  HttpResponse gateway = Ask("/v3/kv/put", "", "POST");
  EXPECT_EQ(gateway.status, 501);
  EXPECT_THAT(gateway.body, HasSubstr("{\"code\":12,\"message\":\""));
  EXPECT_EQ(Ask("/nothing").status, 404);
  EXPECT_EQ(Ask("/nothing").body, "404 page not found\n");
  EXPECT_EQ(Ask("/debug/vars").status, 200);
}

TEST_F(HttpTest, MetricsListenerServesNothingElse) {
  EXPECT_EQ(Ask("/metrics", "", "GET", true).status, 200);
  EXPECT_EQ(Ask("/health", "", "GET", true).status, 200);
  EXPECT_EQ(Ask("/livez", "", "GET", true).status, 200);
  EXPECT_EQ(Ask("/readyz/non_learner", "", "GET", true).status, 200);
  EXPECT_EQ(Ask("/version", "", "GET", true).status, 404);
  EXPECT_EQ(Ask("/v3/kv/put", "", "POST", true).status, 404);
}

TEST_F(HttpTest, CorsAndHosts) {
  HttpResponse any = Ask("/version");
  EXPECT_EQ(HeaderOf(any, "access-control-allow-origin"), "*");
  EXPECT_EQ(Ask("/v3/kv/range", "", "OPTIONS").status, 200);
  MakeEndpoints({"http://o"}, {"example.com"});
  EXPECT_EQ(HeaderOf(Ask("/version"), "access-control-allow-origin"), "http://o");
  EXPECT_EQ(Ask("/version").status, 200);
  MakeEndpoints({"http://other"}, {"else.com"});
  EXPECT_EQ(Ask("/version").status, 421);
}

// As Go's net.SplitHostPort gives them.
TEST_F(HttpTest, HostsMayHavePortsAndBrackets) {
  MakeEndpoints({"*"}, {"fd00::1", "[fd00::2]", "name"});
  for (const char* host : {"[fd00::1]:2379", "fd00::1", "[fd00::2]", "name", "name:2379"}) {
    host_ = host;
    EXPECT_EQ(Ask("/version").status, 200) << host;
  }
  for (const char* host :
       {"", ":2379", "[fd00::3]:2379", "fd00::1:2379", "names", "]:1", "[fd00::1"}) {
    host_ = host;
    EXPECT_EQ(Ask("/version").status, 421) << host;
  }
}

TEST_F(HttpTest, ScrapesWaitElsewhereAndAreBounded) {
  scrapes_.holds = true;
  std::vector<int> statuses;
  for (int i = 0; i < 20; ++i) {
    HttpRequest request;
    request.method = "GET";
    request.path = "/metrics";
    endpoints_->MetricsHandler()(
        std::move(request), [&](HttpResponse response) { statuses.push_back(response.status); });
  }
  EXPECT_EQ(statuses, std::vector<int>(4, 503));
  for (auto& task : scrapes_.held) task();
  EXPECT_EQ(std::count(statuses.begin(), statuses.end(), 200), 16);
  scrapes_.holds = false;
  EXPECT_EQ(Ask("/metrics").status, 200);
}

}  // namespace
}  // namespace tidemark::server
