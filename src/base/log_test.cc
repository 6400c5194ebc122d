#include "src/base/log.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tidemark {
namespace {

class RecordingSink : public LogSink {
 public:
  void Write(LogLevel level, const char* file, int line, absl::string_view message,
             absl::Span<const LogField> fields) override {
    messages.emplace_back(message);
    field_counts.push_back(fields.size());
  }
  std::vector<std::string> messages;
  std::vector<size_t> field_counts;
};

class LogTest : public testing::Test {
 protected:
  ~LogTest() override {
    SetLogSink(nullptr);
    SetLogLevel(LogLevel::kInfo);
  }
};

TEST_F(LogTest, TheDefaultSinkPrintsWarningsAndErrorsOnly) {
  testing::internal::CaptureStderr();
  TLOG(kInfo, "not shown");
  TLOG(kWarn, "disk is slow", {{"took", absl::Milliseconds(1500)}, {"ok", false}});
  TLOG(kError, "disk is gone", {{"path", "/data"}, {"errors", 3}, {"size", size_t{4}}});
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("not shown")));
  EXPECT_THAT(text, testing::HasSubstr(": disk is slow took=1.5s ok=false\n"));
  EXPECT_THAT(text, testing::HasSubstr(": disk is gone path=/data errors=3 size=4\n"));
}

TEST_F(LogTest, LinesBelowTheLevelReachNoSink) {
  RecordingSink sink;
  SetLogSink(&sink);
  TLOG(kDebug, "debug");
  TLOG(kInfo, "info", {{"a", 1}, {"b", "two"}});
  SetLogLevel(LogLevel::kDebug);
  TLOG(kDebug, "debug again");
  SetLogLevel(LogLevel::kError);
  TLOG(kWarn, "warning");
  EXPECT_THAT(sink.messages, testing::ElementsAre("info", "debug again"));
  EXPECT_THAT(sink.field_counts, testing::ElementsAre(2u, 0u));
}

}  // namespace
}  // namespace tidemark
