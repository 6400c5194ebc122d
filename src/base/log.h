// Structured log lines: a level, a constant message, and fields.
//
//   TLOG(kInfo, "opened journal", {{"dir", dir}, {"last-position", position.value()}});
//
// What is done with them is the sink's business (server/observability writes JSON in zap's shape;
// the default sink writes errors to stderr; the simulator keeps the last ones).
// Never log values of keys, tokens or passwords. Thread-safe.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "absl/types/variant.h"

namespace tidemark {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

struct LogField {
  absl::string_view name;
  absl::variant<bool, int64_t, uint64_t, double, absl::string_view, absl::Duration> value;

  LogField(absl::string_view n, bool v) : name(n), value(v) {}
  LogField(absl::string_view n, const std::string& v) : name(n), value(absl::string_view(v)) {}
  LogField(absl::string_view n, const char* v) : name(n), value(absl::string_view(v)) {}
  LogField(absl::string_view n, absl::string_view v) : name(n), value(v) {}
  LogField(absl::string_view n, absl::Duration v) : name(n), value(v) {}
  LogField(absl::string_view n, double v) : name(n), value(v) {}
  template <typename T>
    requires std::is_integral_v<T> && (!std::is_same_v<T, bool>)
  LogField(absl::string_view n, T v) : name(n) {
    if constexpr (std::is_signed_v<T>) value = static_cast<int64_t>(v);
    else value = static_cast<uint64_t>(v);
  }
};

class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Write(LogLevel level, const char* file, int line, absl::string_view message,
                     absl::Span<const LogField> fields) = 0;
};

// Not owned; nullptr restores the default. Set once at start, before threads.
void SetLogSink(LogSink* sink);
void SetLogLevel(LogLevel lowest);
bool LogEnabled(LogLevel level);

void LogAt(LogLevel level, const char* file, int line, absl::string_view message,
           std::initializer_list<LogField> fields = {});

}  // namespace tidemark

#define TLOG(level, ...)                                                                     \
  do {                                                                                       \
    if (::tidemark::LogEnabled(::tidemark::LogLevel::level))                                 \
      ::tidemark::LogAt(::tidemark::LogLevel::level, __FILE__, __LINE__, __VA_ARGS__);       \
  } while (false)
