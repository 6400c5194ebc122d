// Shapes are zap's and Prometheus' as etcd uses them: contract sections 10.2 and 11.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <fstream>
#include <sstream>

#include "src/server/observability/json_log_sink.h"
#include "src/server/observability/metrics.h"

namespace tidemark::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class FixedClock : public Clock {
 public:
  absl::Duration Monotonic() const override { return absl::ZeroDuration(); }
  absl::Time Wall() const override { return absl::FromUnixMicros(1136214245123456); }
};

TEST(LogLine, ZapJson) {
  LogField fields[] = {{"dir", "a\"b"}, {"n", 7}, {"ok", true}, {"took", absl::Milliseconds(1500)}};
  EXPECT_EQ(FormatLogLine(true, FixedClock().Wall(), LogLevel::kInfo, "/x/src/app/node.cc", 12,
                          "ready", fields),
            R"({"level":"info","ts":"2006-01-02T15:04:05.123456Z","caller":"app/node.cc:12",)"
            R"("msg":"ready","dir":"a\"b","n":7,"ok":true,"took":"1.5s"})");
}

TEST(LogLine, InvalidUtf8IsReplaced) {
  EXPECT_THAT(FormatLogLine(true, FixedClock().Wall(), LogLevel::kWarn, "f.cc", 1, "\xff", {}),
              HasSubstr("\"msg\":\"\xef\xbf\xbd\""));
}

TEST(LogLine, Console) {
  LogField fields[] = {{"n", -1}};
  EXPECT_EQ(
      FormatLogLine(false, FixedClock().Wall(), LogLevel::kError, "node.cc", 3, "bad", fields),
      "2006-01-02T15:04:05.123456Z\terror\tnode.cc:3\tbad\t{\"n\":-1}");
}

TEST(LogSink, FileHasEveryLine) {
  std::string path = ::testing::TempDir() + "/json_log_sink_test.log";
  std::remove(path.c_str());
  FixedClock clock;
  {
    auto sink = JsonLogSink::Open({true, {path}}, clock);
    ASSERT_TRUE(sink.ok()) << sink.status();
    for (int i = 0; i < 100; ++i) (*sink)->Write(LogLevel::kInfo, "a.cc", i, "line {}", {});
  }
  std::ifstream in(path);
  std::string line;
  int lines = 0;
  while (std::getline(in, line)) {
    EXPECT_THAT(line, HasSubstr("\"msg\":\"line {}\""));
    ++lines;
  }
  EXPECT_EQ(lines, 100);
  EXPECT_FALSE(JsonLogSink::Open({true, {"/dev/null/x"}}, clock).ok());
}

// The numbers are those of etcd's logger.
TEST(LogSampler, OfWhatIsSaidVeryOftenEveryHundredthIsWritten) {
  LogSampler sampler;
  const auto written = [&sampler](absl::Duration now, int times) {
    int lines = 0;
    for (int i = 0; i < times; ++i) lines += sampler.Allows(LogLevel::kWarn, "again", now) ? 1 : 0;
    return lines;
  };
  EXPECT_EQ(written(absl::Seconds(7), 100), 100);
  EXPECT_EQ(written(absl::Seconds(7.5), 99), 0);
  EXPECT_EQ(written(absl::Seconds(7.9), 1), 1);
  EXPECT_EQ(written(absl::Seconds(7.99), 1000), 10);
  EXPECT_EQ(written(absl::Seconds(8), 150), 100);
  // Other messages are not affected, but for the few that share its counter.
  int others = 0;
  for (int i = 0; i < 64; ++i) {
    others += sampler.Allows(LogLevel::kWarn, absl::StrCat("other ", i), absl::Seconds(8)) ? 1 : 0;
  }
  EXPECT_GE(others, 60);
}

TEST(MetricsText, RequestsAreTimedUnderEtcdsNames) {
  Metrics metrics;
  auto method = [](const char* path) {
    Method method;
    method.path = path;
    method.kind = CallKind::kUnary;
    return method;
  };
  std::vector<Method> methods = {method("/etcdserverpb.KV/Range"),
                                 method("/etcdserverpb.KV/Compact"),
                                 method("/etcdserverpb.Maintenance/Defragment")};
  CallMetrics calls(metrics, methods, /*extensive=*/false);
  CallObserver& range = *methods[0].observer;
  CallObserver& compact = *methods[1].observer;
  CallObserver& defragment = *methods[2].observer;
  range.OnHandled(absl::StatusCode::kOk, absl::Milliseconds(3));
  range.OnHandled(absl::StatusCode::kOutOfRange, absl::Milliseconds(1));
  compact.OnHandled(absl::StatusCode::kOk, absl::Milliseconds(1));
  defragment.OnStarted();
  std::string text = metrics.Text();
  for (const char* line :
       {"etcd_server_request_duration_seconds_bucket{success=\"true\",type=\"Range\",le=\"0.002\"} "
        "0",
        "etcd_server_request_duration_seconds_bucket{success=\"true\",type=\"Range\",le=\"0.004\"} "
        "1",
        "etcd_server_request_duration_seconds_sum{success=\"true\",type=\"Range\"} 0.003",
        "etcd_server_request_duration_seconds_count{success=\"false\",type=\"Range\"} 1",
        "etcd_server_request_duration_seconds_count{success=\"true\",type=\"Compaction\"} 1",
        "etcd_server_range_duration_seconds_count{success=\"true\"} 1",
        "etcd_server_range_duration_seconds_count{success=\"false\"} 1",
        "etcd_disk_defrag_inflight 1", "etcd_disk_backend_defrag_duration_seconds_count 0"}) {
    EXPECT_THAT(text, HasSubstr(std::string(line) + "\n"));
  }
  defragment.OnHandled(absl::StatusCode::kOk, absl::Seconds(1));
  text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("etcd_disk_defrag_inflight 0\n"));
  EXPECT_THAT(text, HasSubstr("etcd_disk_backend_defrag_duration_seconds_count 1\n"));
  EXPECT_THAT(text, HasSubstr("etcd_server_range_duration_seconds_count{success=\"true\"} 1\n"))
      << "told twice";
}

TEST(MetricsText, SortedLabelsAndPlainIntegers) {
  Metrics metrics;
  std::vector<Method> methods(1);
  methods[0].path = "/etcdserverpb.Watch/Watch";
  methods[0].kind = CallKind::kBidiStream;
  CallMetrics calls(metrics, methods, /*extensive=*/false);
  TrafficMetrics traffic(metrics);
  CallObserver& watch = *methods[0].observer;
  EXPECT_THAT(metrics.Text(),
              HasSubstr("grpc_server_handled_total{grpc_code=\"Unauthenticated\",grpc_method="
                        "\"Watch\",grpc_service=\"etcdserverpb.Watch\",grpc_type=\"bidi_stream\"} "
                        "0\n"));
  for (int i = 0; i < 6; ++i) {
    watch.OnStarted();
    watch.OnHandled(absl::StatusCode::kCancelled, absl::Seconds(1));
  }
  traffic.OnBytes(4000000000, 5);
  std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("grpc_server_handled_total{grpc_code=\"Canceled\",grpc_method="
                              "\"Watch\",grpc_service=\"etcdserverpb.Watch\",grpc_type=\"bidi_"
                              "stream\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("etcd_network_client_grpc_received_bytes_total 4000000000\n"));
  EXPECT_THAT(text, Not(HasSubstr("grpc_server_handling_seconds")));
}

TEST(MetricsText, ProcessFiguresAreRead) {
  Metrics metrics;
  AddProcessMetrics(metrics, absl::FromUnixSeconds(1000));
  metrics.Text();
  EXPECT_GT(metrics.Gauge("process_resident_memory_bytes", "").Value(), 1e6);
  EXPECT_GT(metrics.Gauge("process_max_fds", "").Value(), 0);
  EXPECT_THAT(metrics.Text(), HasSubstr("process_start_time_seconds 1000\n"));
}

}  // namespace
}  // namespace tidemark::server
