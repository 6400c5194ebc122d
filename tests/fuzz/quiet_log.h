// Takes every log line without a word, so that campaigns measure the code and not the terminal;
// the fields are still built.
#pragma once

#include "src/base/log.h"

namespace tidemark::fuzz {

class QuietLog : public LogSink {
 public:
  static void Install() {
    static QuietLog sink;
    SetLogSink(&sink);
  }
  void Write(LogLevel, const char*, int, absl::string_view, absl::Span<const LogField>) override {}
};

}  // namespace tidemark::fuzz
