#include "src/base/failpoint.h"

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tidemark {
namespace {

class FailPointTest : public testing::Test {
 protected:
  ~FailPointTest() override {
    failpoint::ClearHandler();
    Arm("");
  }
  static void Arm(const char* text) {
    ::setenv("TIDEMARK_FAILPOINTS", text, 1);
    failpoint::ArmFromEnvironment();
  }
};
using FailPointDeathTest = FailPointTest;

TEST_F(FailPointTest, HandlerSeesEveryPassWhileSet) {
  std::vector<std::string> seen;
  FAIL_POINT("base.before");
  failpoint::SetHandler([&](absl::string_view name) { seen.emplace_back(name); });
  FAIL_POINT("base.one");
  FAIL_POINT("base.two");
  failpoint::ClearHandler();
  FAIL_POINT("base.after");
  EXPECT_THAT(seen, testing::ElementsAre("base.one", "base.two"));
  EXPECT_FALSE(failpoint::any_armed);
}

TEST_F(FailPointTest, HandlerMayThrowAndIsUsableAgain) {
  int passes = 0;
  failpoint::SetHandler([&](absl::string_view) {
    if (++passes == 1) throw passes;
  });
  EXPECT_THROW(FAIL_POINT("base.throws"), int);
  FAIL_POINT("base.throws");
  EXPECT_EQ(passes, 2);
}

TEST_F(FailPointDeathTest, KillsAtTheNamedPassOnly) {
  EXPECT_EXIT(
      {
        Arm("base.other=kill;base.loop=kill@3");
        for (int pass = 1; pass <= 3; ++pass) {
          if (pass == 3) std::fprintf(stderr, "third pass\n");
          FAIL_POINT("base.loop");
        }
        std::exit(0);
      },
      testing::KilledBySignal(SIGKILL), "third pass");
}

TEST_F(FailPointDeathTest, Aborts) {
  EXPECT_EXIT(
      {
        Arm("base.end=abort");
        FAIL_POINT("base.end");
      },
      testing::KilledBySignal(SIGABRT), "");
}

TEST_F(FailPointTest, SleepGoesOnAfterwards) {
  Arm("base.slow=sleep:1");
  FAIL_POINT("base.slow");
  EXPECT_TRUE(failpoint::any_armed);
}

TEST_F(FailPointDeathTest, RefusesWhatItCannotRead) {
  for (const char* text : {"base.x", "=kill", "base.x=explode", "base.x=kill@0", "base.x=kill@",
                           "base.x=sleep", "base.x=sleep:-1", "base.x=kill:3"}) {
    EXPECT_DEATH(Arm(text), "TIDEMARK_FAILPOINTS: cannot read") << text;
  }
}

#ifdef TIDEMARK_PLANTED_BUGS
TEST(PlantedBug, OneAtATime) {
  planted_bug::Activate("first");
  EXPECT_TRUE(PLANTED_BUG("first"));
  EXPECT_FALSE(PLANTED_BUG("second"));
  planted_bug::Activate("");
  EXPECT_FALSE(PLANTED_BUG("first"));
}
#else
TEST(PlantedBug, IsConstantFalseInReleases) {
  static_assert(!PLANTED_BUG("anything"));
}
#endif

}  // namespace
}  // namespace tidemark
