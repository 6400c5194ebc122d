#include "src/server/observability/json_log_sink.h"

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace tidemark::server {
namespace {

constexpr size_t kQueuedLines = 8192;
constexpr absl::Duration kLongestDrain = absl::Milliseconds(100);
constexpr absl::Duration kDrainStep = absl::Milliseconds(1);

using Json = nlohmann::ordered_json;

std::string_view Std(absl::string_view text) { return {text.data(), text.size()}; }

Json ToJson(const LogField& field) {
  if (auto* text = absl::get_if<absl::string_view>(&field.value)) return std::string(Std(*text));
  if (auto* flag = absl::get_if<bool>(&field.value)) return *flag;
  if (auto* number = absl::get_if<int64_t>(&field.value)) return *number;
  if (auto* number = absl::get_if<uint64_t>(&field.value)) return *number;
  if (auto* number = absl::get_if<double>(&field.value)) return *number;
  return absl::FormatDuration(absl::get<absl::Duration>(field.value));
}

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

// The last folder and the file, as zap's short caller.
std::string Caller(const char* file, int line) {
  absl::string_view path = file;
  size_t slash = path.rfind('/');
  if (slash != absl::string_view::npos && slash > 0) {
    size_t before = path.rfind('/', slash - 1);
    if (before != absl::string_view::npos) path.remove_prefix(before + 1);
  }
  return absl::StrCat(path, ":", line);
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string FormatLogLine(bool json, absl::Time when, LogLevel level, const char* file, int line,
                          absl::string_view message, absl::Span<const LogField> fields) {
  std::string ts = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", when, absl::UTCTimeZone());
  if (json) {
    Json object = {{"level", LevelName(level)},
                   {"ts", ts},
                   {"caller", Caller(file, line)},
                   {"msg", std::string(Std(message))}};
    for (const LogField& field : fields) object[std::string(Std(field.name))] = ToJson(field);
    return Dump(object);
  }
  std::string text =
      absl::StrCat(ts, "\t", LevelName(level), "\t", Caller(file, line), "\t", message);
  if (!fields.empty()) {
    Json object;
    for (const LogField& field : fields) object[std::string(Std(field.name))] = ToJson(field);
    absl::StrAppend(&text, "\t", Dump(object));
  }
  return text;
}

struct JsonLogSink::Outputs {
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

JsonLogSink::JsonLogSink(bool json, Clock& clock, std::unique_ptr<Outputs> outputs)
    : json_(json), clock_(clock), outputs_(std::move(outputs)) {}

// The pool's thread drains the queue before it ends.
JsonLogSink::~JsonLogSink() { outputs_->logger.reset(); }

absl::StatusOr<std::unique_ptr<JsonLogSink>> JsonLogSink::Open(const LogSettings& settings,
                                                               Clock& clock) {
  std::vector<spdlog::sink_ptr> sinks;
  try {
    for (const std::string& output : settings.outputs) {
      if (output == "stdout") {
        sinks.push_back(std::make_shared<spdlog::sinks::stdout_sink_mt>());
      } else if (output == "stderr") {
        sinks.push_back(std::make_shared<spdlog::sinks::stderr_sink_mt>());
      } else {
        sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(output));
      }
    }
  } catch (const spdlog::spdlog_ex& error) {
    return absl::InvalidArgumentError(absl::StrCat("cannot open log output: ", error.what()));
  }
  auto outputs = std::make_unique<Outputs>();
  outputs->pool = std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1);
  outputs->logger =
      std::make_shared<spdlog::async_logger>("tidemark", sinks.begin(), sinks.end(), outputs->pool,
                                             spdlog::async_overflow_policy::overrun_oldest);
  outputs->logger->set_pattern("%v");
  outputs->logger->set_level(spdlog::level::trace);
  outputs->logger->flush_on(spdlog::level::trace);
  return std::unique_ptr<JsonLogSink>(new JsonLogSink(settings.json, clock, std::move(outputs)));
}

void JsonLogSink::Write(LogLevel level, const char* file, int line, absl::string_view message,
                        absl::Span<const LogField> fields) {
  if (!sampler_.Allows(level, message, clock_.Monotonic())) return;
  outputs_->logger->info("{}",
                         FormatLogLine(json_, clock_.Wall(), level, file, line, message, fields));
}

void JsonLogSink::Drain() {
  // Behind the last line: once that is taken from the queue, the line has been written.
  outputs_->logger->flush();
  for (absl::Duration waited; outputs_->pool->queue_size() > 0 && waited < kLongestDrain;
       waited += kDrainStep) {
    absl::SleepFor(kDrainStep);
  }
}

}  // namespace tidemark::server
