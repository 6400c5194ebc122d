#include "bench/tidebench/interval_log.h"

#include <nlohmann/json.hpp>

namespace tidemark::bench {

IntervalLog::IntervalLog(const std::string& file, double interval_s)
    : file_(file), interval_ns_(static_cast<int64_t>(interval_s * 1e9)) {}

void IntervalLog::Tick(const std::vector<Activity*>& activities, int64_t now_ns, double wall_s) {
  if (begin_ns_ != 0 && now_ns - begin_ns_ < interval_ns_) return;
  Histogram all;
  for (const Activity* activity : activities) {
    if (activity->description().is_main) all.Merge(activity->result().latency_ns);
  }
  if (begin_ns_ != 0) {
    const Histogram latest = all.Since(told_);
    const auto us = [&](double share) {
      return static_cast<double>(latest.Percentile(share)) / 1e3;
    };
    const nlohmann::ordered_json line = {
        {"begin", begin_wall_s_}, {"end", wall_s},     {"answers", latest.count()},
        {"p50_us", us(0.5)},      {"p90_us", us(0.9)}, {"p99_us", us(0.99)},
        {"max_us", us(1)}};
    file_ << line.dump() << std::endl;
  }
  told_ = all;
  begin_ns_ = now_ns;
  begin_wall_s_ = wall_s;
}

}  // namespace tidemark::bench
