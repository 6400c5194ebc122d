#include "src/base/bytes.h"

#include "gtest/gtest.h"

namespace tidemark {
namespace {

ByteChain ChainOf(int runs) {
  ByteChain chain;
  for (int i = 0; i < runs; ++i) chain.AppendCopy("some bytes");
  return chain;
}

TEST(ByteChainTest, WhatWasMovedFromIsEmpty) {
  for (const int runs : {0, 1, 3, 4, 100}) {
    ByteChain from = ChainOf(runs);
    const std::string content = from.Flatten();
    ByteChain made(std::move(from));
    EXPECT_EQ(made.Flatten(), content);
    EXPECT_TRUE(from.empty() && from.runs().empty());  // NOLINT(bugprone-use-after-move)
    ByteChain assigned = ChainOf(7);
    assigned = std::move(made);
    EXPECT_EQ(assigned.Flatten(), content);
    EXPECT_TRUE(made.empty() && made.runs().empty());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(made.heap_bytes(), 0u);
  }
}

TEST(ByteChainTest, WhatIsReplacedIsFreed) {
  ByteChain chain = ChainOf(1000);
  EXPECT_GT(chain.heap_bytes(), 1000 * sizeof(SharedBytes));
  chain = ByteChain();
  EXPECT_EQ(chain.heap_bytes(), 0u);
}

TEST(ByteChainTest, RunsBelongToWhoeverHasThem) {
  ByteChain chain;
  chain.AppendCopy("");
  EXPECT_TRUE(chain.empty() && chain.runs().empty());
  chain.AppendCopy("copied");
  chain.Append(std::string("own"));
  const ByteChain copy = chain;
  chain = ByteChain();
  EXPECT_EQ(copy.Flatten(), "copiedown");
  EXPECT_EQ(copy.size_bytes(), 9u);
}

}  // namespace
}  // namespace tidemark
