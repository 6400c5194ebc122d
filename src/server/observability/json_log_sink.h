// Log lines in zap's shape: {"level","ts","caller","msg",fields...}, or its console form.
//
// Hides formatting, the outputs and the thread that writes them: a caller only formats and
// enqueues; when an output is stuck, the oldest waiting lines are dropped (bounded queue). What is
// said very often is not all written (LogSampler).
// Thread-safe. Destruction writes what is queued.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/server/observability/log_sampler.h"

namespace tidemark::server {

struct LogSettings {
  bool json = true;
  std::vector<std::string> outputs;  // "stdout", "stderr", files (appended to)
};

class JsonLogSink : public LogSink {
 public:
  static absl::StatusOr<std::unique_ptr<JsonLogSink>> Open(const LogSettings& settings,
                                                           Clock& clock);
  ~JsonLogSink() override;

  void Write(LogLevel level, const char* file, int line, absl::string_view message,
             absl::Span<const LogField> fields) override;
  // Waits until what was written is with the outputs, but not for long: one may be stuck.
  void Drain();

 private:
  struct Outputs;
  JsonLogSink(bool json, Clock& clock, std::unique_ptr<Outputs> outputs);

  const bool json_;
  Clock& clock_;
  LogSampler sampler_;
  std::unique_ptr<Outputs> outputs_;
};

// One line, without the newline.
std::string FormatLogLine(bool json, absl::Time when, LogLevel level, const char* file, int line,
                          absl::string_view message, absl::Span<const LogField> fields);

}  // namespace tidemark::server
