#include "src/partition/start_progress.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/base/log.h"

namespace tidemark::partition {
namespace {

class FixedClock final : public Clock {
 public:
  absl::Duration Monotonic() const override { return now; }
  absl::Time Wall() const override { return absl::UnixEpoch() + now; }
  absl::Duration now;
};

class Lines final : public LogSink {
 public:
  void Write(LogLevel, const char*, int, absl::string_view message,
             absl::Span<const LogField> fields) override {
    std::string line(message);
    for (const LogField& field : fields) {
      absl::StrAppend(&line, " ", field.name, "=");
      if (auto* n = absl::get_if<uint64_t>(&field.value)) absl::StrAppend(&line, *n);
      if (auto* n = absl::get_if<int64_t>(&field.value)) absl::StrAppend(&line, *n);
      if (auto* d = absl::get_if<absl::Duration>(&field.value)) {
        absl::StrAppend(&line, absl::FormatDuration(*d));
      }
    }
    lines.push_back(line);
  }
  std::vector<std::string> lines;
};

class StartProgressTest : public ::testing::Test {
 protected:
  StartProgressTest() { SetLogSink(&log_); }
  ~StartProgressTest() override { SetLogSink(nullptr); }
  std::string Line(Position applied = Position(0)) {
    log_.lines.clear();
    progress_.Log(applied);
    return log_.lines.at(0);
  }

  Lines log_;
  FixedClock clock_;
  StartProgress progress_{clock_};
};

TEST_F(StartProgressTest, SaysHowMuchIsLoadedAndHowLongTheRestTakes) {
  LoadProgress& rest = progress_.Of(PartitionId(0));
  LoadProgress& pods = progress_.Of(PartitionId(1));
  clock_.now = absl::Seconds(100);
  progress_.Begin(Position(50));
  EXPECT_EQ(Line(),
            "loading partitions bytes-total=0 bytes-read=0 elapsed=0 remaining=inf "
            "partitions-left=2");
  rest.Begin(1000, 0.5);
  pods.Begin(9000, 0.5);
  rest.AddRead(1000);
  pods.AddRead(4000);
  clock_.now += absl::Seconds(4);
  EXPECT_EQ(Line(),
            "loading partitions bytes-total=10000 bytes-read=5000 elapsed=4s "
            "remaining=12s partitions-left=2");
  rest.End();
  progress_.LoadedOne();
  pods.AddRead(5000);
  pods.BeginIndexing(10);
  for (int i = 0; i < 5; ++i) pods.AddIndexedPart();
  clock_.now += absl::Seconds(4);
  EXPECT_EQ(Line(),
            "loading partitions bytes-total=10000 bytes-read=10000 elapsed=8s "
            "remaining=2.3s partitions-left=1");
}

TEST_F(StartProgressTest, ThenHowFarTheReplayIs) {
  progress_.Of(PartitionId(0));
  progress_.Begin(Position(110));
  progress_.LoadedOne();
  clock_.now = absl::Seconds(10);
  progress_.BeginReplay(Position(11));
  clock_.now = absl::Seconds(11);
  // Nothing yet: the checkpoint stands at 10.
  EXPECT_EQ(Line(Position(10)), "replaying journal applied=10 last=110 elapsed=11s remaining=inf");
  EXPECT_EQ(Line(Position(35)), "replaying journal applied=35 last=110 elapsed=11s remaining=3s");
  EXPECT_EQ(Line(Position(110)), "replaying journal applied=110 last=110 elapsed=11s remaining=0");
}

TEST_F(StartProgressTest, CancelReachesAllPartitions) {
  LoadProgress& pods = progress_.Of(PartitionId(1));
  progress_.Cancel();
  EXPECT_TRUE(pods.cancelled());
}

}  // namespace
}  // namespace tidemark::partition
