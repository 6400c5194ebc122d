#include "src/journal/block_writer.h"

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/sim/env/seeded_random.h"
#include "tests/sim/env/sim_disk.h"

namespace tidemark::journal {
namespace {

class BlockWriterTest : public testing::Test {
 protected:
  void Use(const std::string& path) {
    auto file = disk_.Open(path, OpenMode::kCreateExclusive);
    ASSERT_TRUE(file.ok()) << file.status();
    writer_.Use(*std::move(file));
  }
  // Whether the block was durable at once.
  bool WritesDirectly() {
    const std::string block(4096, 'x');
    EXPECT_TRUE(writer_.Write(0, {absl::string_view(block)}, Durability::kDurable).ok());
    const bool was_durable = !writer_.has_unsynced();
    writer_.Sync();
    return was_durable;
  }

  sim::SeededRandom random_{1};
  sim::SimDisk disk_{random_};
  BlockWriter writer_{/*writes_directly=*/true};
};

TEST_F(BlockWriterTest, EachFileIsTriedAnew) {
  disk_.SetDirectWrites(0);
  Use("/a");
  EXPECT_FALSE(WritesDirectly());
  disk_.SetDirectWrites(sim::SimDisk::kAllDirectWrites);
  EXPECT_FALSE(WritesDirectly()) << "one file, one way";
  Use("/b");
  EXPECT_TRUE(WritesDirectly());
}

}  // namespace
}  // namespace tidemark::journal
