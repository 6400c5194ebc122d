#include "bench/tidebench/workloads/expected_list.h"

#include <vector>

#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

using Pending = Dataset::Pending;

struct Listed {
  int64_t index;
  int64_t mod_revision;
  int64_t writes;
};

// Keys 0, 1 and 2 are there, written in revisions 1, 2 and 3; key 3 was and is gone.
class ExpectedListTest : public ::testing::Test {
 protected:
  ExpectedListTest() {
    for (const int64_t index : {0, 1, 2, 3}) dataset_.NoteWrite(index, index + 1, 0);
    dataset_.NoteDelete(3, 5, 0);
  }

  bool Accepts(const std::vector<Listed>& list) {
    ExpectedList expected;
    expected.Begin(&dataset_);
    EXPECT_EQ(expected.revision(), dataset_.newest_revision());
    for (const Listed& listed : list) {
      mvccpb::KeyValue kv;
      dataset_.KeyOf(listed.index, kv.mutable_key());
      dataset_.ValueOf(listed.index, listed.writes, kv.mutable_value());
      kv.set_mod_revision(listed.mod_revision);
      if (!expected.Next(kv).ok()) return false;
    }
    return expected.End().ok();
  }

  Dataset dataset_{{.prefix = "/pods/", .keys = 100, .value_bytes = 50}};
};

TEST_F(ExpectedListTest, IsWhatWasAcknowledged) {
  EXPECT_TRUE(Accepts({{0, 1, 1}, {1, 2, 1}, {2, 3, 1}}));
  EXPECT_FALSE(Accepts({}));
  EXPECT_FALSE(Accepts({{1, 2, 1}, {2, 3, 1}}));
  EXPECT_FALSE(Accepts({{0, 1, 1}, {2, 3, 1}}));
  EXPECT_FALSE(Accepts({{0, 1, 1}, {1, 2, 1}}));
  EXPECT_FALSE(Accepts({{1, 2, 1}, {0, 1, 1}, {2, 3, 1}}));
  EXPECT_FALSE(Accepts({{0, 1, 1}, {1, 2, 1}, {1, 2, 1}, {2, 3, 1}}));
  EXPECT_FALSE(Accepts({{0, 1, 1}, {1, 2, 1}, {2, 3, 1}, {3, 4, 1}}));  // it was deleted
  EXPECT_FALSE(Accepts({{0, 1, 1}, {1, 2, 1}, {2, 3, 1}, {9, 4, 1}}));  // nobody wrote it
}

TEST_F(ExpectedListTest, HoldsNoOldValues) {
  dataset_.NoteWrite(1, 6, 0);
  EXPECT_TRUE(Accepts({{0, 1, 1}, {1, 6, 2}, {2, 3, 1}}));
  EXPECT_FALSE(Accepts({{0, 1, 1}, {1, 2, 1}, {2, 3, 1}}));
  EXPECT_FALSE(Accepts({{0, 1, 1}, {1, 6, 1}, {2, 3, 1}}));
}

TEST_F(ExpectedListTest, MayHoldWhatIsInFlight) {
  dataset_.NoteSent(1, Pending::kWrite);
  dataset_.NoteSent(2, Pending::kDelete);
  dataset_.NoteSent(7, Pending::kWrite);
  EXPECT_TRUE(Accepts({{0, 1, 1}, {1, 2, 1}, {2, 3, 1}}));
  EXPECT_TRUE(Accepts({{0, 1, 1}, {1, 4, 2}, {7, 5, 1}}));
  EXPECT_FALSE(Accepts({{0, 1, 1}, {7, 5, 1}}));             // key 1 is there in any case
  EXPECT_FALSE(Accepts({{0, 1, 1}, {1, 6, 2}}));             // of a later revision
  EXPECT_FALSE(Accepts({{0, 1, 1}, {1, 4, 3}}));             // only one write is in flight
  EXPECT_FALSE(Accepts({{0, 1, 1}, {1, 2, 2}, {7, 5, 1}}));  // a new value in an old revision
  dataset_.NoteWrite(1, 6, 0);
  EXPECT_FALSE(Accepts({{0, 1, 1}, {1, 2, 1}, {2, 3, 1}}));
}

}  // namespace
}  // namespace tidemark::bench
