#include "src/server/transport/output_pacer.h"

#include "gtest/gtest.h"

namespace tidemark::server {
namespace {

TEST(OutputPacerTest, OthersAreThoseThatAskedLately) {
  const int a = 0;
  const int b = 0;
  const int c = 0;
  OutputPacer pacer;
  const absl::Duration start = absl::Seconds(1000);
  EXPECT_FALSE(pacer.OthersAreActive(&a, start));
  pacer.NoteRequest(&a, start);
  EXPECT_FALSE(pacer.OthersAreActive(&a, start)) << "it is no other of itself";
  EXPECT_TRUE(pacer.OthersAreActive(&b, start));
  pacer.NoteRequest(&b, start + absl::Milliseconds(1));
  pacer.NoteRequest(&a, start + absl::Milliseconds(2));
  pacer.NoteRequest(&a, start + absl::Milliseconds(3));
  EXPECT_TRUE(pacer.OthersAreActive(&a, start + absl::Milliseconds(6)));
  EXPECT_FALSE(pacer.OthersAreActive(&a, start + absl::Milliseconds(7))) << "b asked too long ago";
  EXPECT_TRUE(pacer.OthersAreActive(&b, start + absl::Milliseconds(7)));
  EXPECT_TRUE(pacer.OthersAreActive(&c, start + absl::Milliseconds(7)));
  EXPECT_FALSE(pacer.OthersAreActive(&c, start + absl::Milliseconds(9)));
}

}  // namespace
}  // namespace tidemark::server
