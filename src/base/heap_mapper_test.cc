#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/base/heap_mapper_for_test.h"

namespace tidemark {
namespace {

using testing::ElementsAre;

TEST(HeapMapper, GivesZeroedMemoryUpToItsCapacity) {
  HeapMapper mapper;
  mapper.SetCapacityBytes(8192);
  std::unique_ptr<MemoryRegion> first = *mapper.Create("p0-1", 4096);
  std::unique_ptr<MemoryRegion> second = *mapper.Create("p0-2", 4096);
  EXPECT_EQ(std::string(first->data(), 4096), std::string(4096, '\0'));
  EXPECT_EQ(mapper.Create("p0-3", 1).status().code(), absl::StatusCode::kResourceExhausted);
  first->Discard();
  EXPECT_EQ(mapper.used_bytes(), 8192u);  // somebody may still read it
  first.reset();
  EXPECT_EQ(mapper.used_bytes(), 4096u);
  EXPECT_TRUE(mapper.Create("p0-3", 4096).ok());
}

TEST(HeapMapper, RegionsOutliveTheirOwner) {
  HeapMapper mapper;
  (*mapper.Create("p0-1", 4096))->data()[7] = 'x';
  EXPECT_EQ(mapper.open_regions(), 0);
  EXPECT_THAT(mapper.Leftovers(), ElementsAre("p0-1"));
  EXPECT_EQ(mapper.Create("p0-1", 4096).status().code(), absl::StatusCode::kAlreadyExists);
  std::unique_ptr<MemoryRegion> again = *mapper.Open("p0-1");
  EXPECT_EQ(again->data()[7], 'x');
  EXPECT_THAT(mapper.Leftovers(), ElementsAre());
}

}  // namespace
}  // namespace tidemark
