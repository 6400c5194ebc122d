#include "bench/tidebench/report.h"

#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

Report ReportOf(const ActivityResult& result) {
  Report report{.activities = {{{.name = "progress", .is_open_loop = true}, result}},
                .compactions = 3,
                .keys_read_back = 64};
  report.run.span_s = 2;
  return report;
}

TEST(ReportTest, SaysWhatBecameOfAllThatWasDue) {
  const auto json =
      ToJson(ReportOf({.answers = 5, .due = 10, .done = 6, .never_sent = 3, .never_answered = 1}));
  EXPECT_EQ(json["compactions_done"], 3);
  EXPECT_EQ(json["keys_read_back"], 64);
  const auto& activity = json["activities"][0];
  EXPECT_EQ(activity["answers"], 5);
  EXPECT_EQ(activity["due"], 10);
  EXPECT_EQ(activity["done"], 6);
  EXPECT_EQ(activity["never_sent"], 3);
  EXPECT_EQ(activity["never_answered"], 1);
}

TEST(ReportTest, NamesWhatIsLeftOutForPeople) {
  const std::string all_done = Summary(ReportOf({.answers = 5, .due = 5, .done = 5}));
  EXPECT_EQ(all_done.find("lower bounds"), std::string::npos) << all_done;
  const std::string unanswered = Summary(ReportOf({.due = 10, .done = 8, .never_answered = 2}));
  EXPECT_NE(unanswered.find("2 of 10 got no answer"), std::string::npos) << unanswered;
}

}  // namespace
}  // namespace tidemark::bench
