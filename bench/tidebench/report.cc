#include "bench/tidebench/report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tidemark::bench {
namespace {

using nlohmann::json;

constexpr double kMegabyte = 1e6;

double Us(int64_t ns) { return static_cast<double>(ns) / 1e3; }

json LatencyJson(const Histogram& latency_ns) {
  return {{"count", latency_ns.count()},
          {"mean", latency_ns.mean() / 1e3},
          {"min", Us(latency_ns.min())},
          {"p50", Us(latency_ns.Percentile(0.5))},
          {"p90", Us(latency_ns.Percentile(0.9))},
          {"p99", Us(latency_ns.Percentile(0.99))},
          {"p99.9", Us(latency_ns.Percentile(0.999))},
          {"p99.99", Us(latency_ns.Percentile(0.9999))},
          {"max", Us(latency_ns.max())}};
}

int64_t AllAnswers(const Report& report) {
  int64_t answers = 0;
  for (const ActivityReport& activity : report.activities) {
    if (activity.description.is_main) answers += activity.result.answers;
  }
  return answers;
}

double PerAnswerUs(const Report& report, double seconds) {
  return seconds * 1e6 / static_cast<double>(std::max<int64_t>(1, AllAnswers(report)));
}

json ServerJson(const Report& report) {
  const ServerUse& server = *report.run.server;
  const double cpu_us = PerAnswerUs(report, server.cpu_s);
  return {{"cpu_us_per_request", cpu_us},
          {"requests_per_cpu_second", cpu_us > 0 ? 1e6 / cpu_us : 0},
          {"user_s", server.user_s},
          {"system_s", server.system_s},
          {"cores", server.cores},
          {"written_bytes", server.written_bytes},
          {"read_bytes", server.read_bytes},
          {"rss_bytes", server.at_end.rss_bytes},
          {"rss_shared_bytes", server.at_end.shared_bytes},
          {"peak_rss_bytes", server.at_end.peak_rss_bytes}};
}

std::string Line(const Report& report, const ActivityReport& activity) {
  const Histogram& latency = activity.result.latency_ns;
  std::string line = absl::StrFormat(
      "%-34s %9.1f/s   us: p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f   (%d %s)\n",
      activity.description.name, static_cast<double>(activity.result.answers) / report.run.span_s,
      Us(latency.Percentile(0.5)), Us(latency.Percentile(0.9)), Us(latency.Percentile(0.99)),
      Us(latency.Percentile(0.999)), Us(latency.max()), activity.result.answers,
      activity.description.unit == "delivery" ? "deliveries" : "answers");
  if (activity.result.keys > 0) {
    absl::StrAppendFormat(&line, "  %.0f keys/s\n",
                          static_cast<double>(activity.result.keys) / report.run.span_s);
  }
  if (activity.result.never_sent > 0) {
    absl::StrAppend(&line, "  ", activity.result.never_sent,
                    " requests were due and never sent: the percentiles are lower bounds\n");
  }
  if (activity.result.never_answered > 0) {
    absl::StrAppend(&line, "  ", activity.result.never_answered, " of ", activity.result.due,
                    " got no answer: the percentiles are lower bounds\n");
  }
  return line;
}

}  // namespace

json ToJson(const Report& report) {
  json activities = json::array();
  for (const ActivityReport& activity : report.activities) {
    activities.push_back(
        {{"name", activity.description.name},
         {"unit", activity.description.unit},
         {"is_main", activity.description.is_main},
         {"open_loop", activity.description.is_open_loop},
         {"answers", activity.result.answers},
         {"per_s", static_cast<double>(activity.result.answers) / report.run.span_s},
         {"keys_per_s", static_cast<double>(activity.result.keys) / report.run.span_s},
         {"due", activity.result.due},
         {"done", activity.result.done},
         {"never_sent", activity.result.never_sent},
         {"never_answered", activity.result.never_answered},
         {"latency_us", LatencyJson(activity.result.latency_ns)}});
  }
  json result = {
      {"configuration", report.configuration},
      {"fill_s", report.fill_s},
      {"span_s", report.run.span_s},
      {"requests_per_s", static_cast<double>(AllAnswers(report)) / report.run.span_s},
      {"activities", activities},
      {"compactions_done", report.compactions},
      {"keys_read_back", report.keys_read_back},
      {"client",
       {{"cores", report.run.client_cores},
        {"cpu_us_per_request", PerAnswerUs(report, report.run.client_cores * report.run.span_s)}}},
      {"other_cores", report.run.other_cores}};
  if (report.run.server) result["server"] = ServerJson(report);
  return result;
}

std::string Summary(const Report& report) {
  std::string text;
  for (const ActivityReport& activity : report.activities) text += Line(report, activity);
  absl::StrAppendFormat(&text, "client   %6.2f us of CPU per request, %.2f cores\n",
                        PerAnswerUs(report, report.run.client_cores * report.run.span_s),
                        report.run.client_cores);
  if (report.run.server) {
    const ServerUse& server = *report.run.server;
    absl::StrAppendFormat(
        &text,
        "server   %6.2f us of CPU per request, %.2f cores (system %.0f%%); %.1f MB written,"
        " %.0f MB resident (%.0f MB of it shared)\n",
        PerAnswerUs(report, server.cpu_s), server.cores,
        100 * server.system_s / std::max(1e-9, server.user_s + server.system_s),
        static_cast<double>(server.written_bytes) / kMegabyte,
        static_cast<double>(server.at_end.rss_bytes) / kMegabyte,
        static_cast<double>(server.at_end.shared_bytes) / kMegabyte);
  }
  absl::StrAppendFormat(&text, "others   %.2f cores\n", report.run.other_cores);
  return text;
}

}  // namespace tidemark::bench
