#include "src/base/log.h"

#include <atomic>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"

namespace tidemark {
namespace {

struct ValueText {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return absl::StrCat(value); }
  std::string operator()(uint64_t value) const { return absl::StrCat(value); }
  std::string operator()(double value) const { return absl::StrCat(value); }
  std::string operator()(absl::string_view value) const { return std::string(value); }
  std::string operator()(absl::Duration value) const { return absl::FormatDuration(value); }
};

// One write per line, so that lines of several threads do not mix.
class StderrSink : public LogSink {
 public:
  void Write(LogLevel level, const char* file, int line, absl::string_view message,
             absl::Span<const LogField> fields) override {
    if (level < LogLevel::kWarn) return;
    std::string text = absl::StrCat(level == LogLevel::kWarn ? "WARN " : "ERROR ", file, ":", line,
                                    ": ", message);
    for (const LogField& field : fields) {
      absl::StrAppend(&text, " ", field.name, "=", absl::visit(ValueText{}, field.value));
    }
    text.push_back('\n');
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
};

std::atomic<LogSink*> current_sink{nullptr};
std::atomic<LogLevel> lowest_level{LogLevel::kInfo};

}  // namespace

void SetLogSink(LogSink* sink) { current_sink.store(sink, std::memory_order_release); }

void SetLogLevel(LogLevel lowest) { lowest_level.store(lowest, std::memory_order_relaxed); }

bool LogEnabled(LogLevel level) { return level >= lowest_level.load(std::memory_order_relaxed); }

void LogAt(LogLevel level, const char* file, int line, absl::string_view message,
           std::initializer_list<LogField> fields) {
  static StderrSink stderr_sink;
  LogSink* sink = current_sink.load(std::memory_order_acquire);
  if (sink == nullptr) sink = &stderr_sink;
  sink->Write(level, file, line, message, absl::MakeConstSpan(fields.begin(), fields.size()));
}

}  // namespace tidemark
