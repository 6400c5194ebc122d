#include "src/journal/block_frame.h"

#include "gtest/gtest.h"

namespace tidemark::journal {
namespace {

BlockHeader SomeBlock() {
  return {StoreId(7), Position(11), Term(3), 5, 1000, 0xABCDEF01, ChainHash(42)};
}

TEST(BlockFrameTest, EncodedFramesDecodeToThemselves) {
  Frame block = DecodeFrame(EncodeBlockHeader(SomeBlock()));
  ASSERT_EQ(block.kind, Frame::Kind::kBlock);
  EXPECT_EQ(block.block.store, StoreId(7));
  EXPECT_EQ(block.block.first, Position(11));
  EXPECT_EQ(block.block.last(), Position(15));
  EXPECT_EQ(block.block.term, Term(3));
  EXPECT_EQ(block.block.body_size, 1000u);
  EXPECT_EQ(block.block.body_crc, 0xABCDEF01u);
  EXPECT_EQ(block.block.chain, ChainHash(42));

  Frame segment = DecodeFrame(EncodeSegmentHeader({StoreId(7), 8192, Position(9), ChainHash(1)}));
  ASSERT_EQ(segment.kind, Frame::Kind::kSegment);
  EXPECT_EQ(segment.segment.capacity_bytes, 8192u);
  EXPECT_EQ(segment.segment.first, Position(9));
  EXPECT_EQ(segment.segment.chain_before, ChainHash(1));

  Frame mark =
      DecodeFrame(EncodeTailMark({TailMark::Kind::kSealed, StoreId(7), Position(8), ChainHash(2)}));
  ASSERT_EQ(mark.kind, Frame::Kind::kMark);
  EXPECT_EQ(mark.mark.kind, TailMark::Kind::kSealed);
  EXPECT_EQ(mark.mark.last, Position(8));
}

TEST(BlockFrameTest, EveryFlippedBitIsSeen) {
  for (const std::string& good :
       {EncodeBlockHeader(SomeBlock()),
        EncodeSegmentHeader({StoreId(7), 8192, Position(9), ChainHash(1)}),
        EncodeTailMark({TailMark::Kind::kSynced, StoreId(7), Position(8), ChainHash(2)})}) {
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string bad = good;
      bad[bit / 8] ^= static_cast<char>(1 << (bit % 8));
      EXPECT_EQ(DecodeFrame(bad).kind, Frame::Kind::kDamaged) << bit;
    }
    for (size_t size = 1; size < good.size(); ++size) {
      EXPECT_EQ(DecodeFrame(absl::string_view(good).substr(0, size)).kind, Frame::Kind::kDamaged);
    }
  }
}

TEST(BlockFrameTest, ZerosAreNothing) {
  EXPECT_EQ(DecodeFrame(std::string(512, '\0')).kind, Frame::Kind::kZero);
}

TEST(BlockFrameTest, TheChainDependsOnEveryFieldAndOnTheBlockBefore) {
  BlockHeader base = SomeBlock();
  ChainHash chain = ExtendChain(ChainHash(1), base);
  EXPECT_NE(chain, ExtendChain(ChainHash(2), base));
  std::vector<BlockHeader> others(6, base);
  others[0].store = StoreId(8);
  others[1].first = Position(12);
  others[2].term = Term(4);
  others[3].entry_count = 6;
  others[4].body_size = 1001;
  others[5].body_crc ^= 1;
  for (const BlockHeader& other : others) EXPECT_NE(chain, ExtendChain(ChainHash(1), other));
}

}  // namespace
}  // namespace tidemark::journal
