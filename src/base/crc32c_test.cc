#include "src/base/crc32c.h"

#include <random>
#include <string>

#include "gtest/gtest.h"

namespace tidemark {
namespace {

// RFC 3720 appendix B.4 and the catalogue's check value.
TEST(Crc32c, KnownVectors) {
  std::string ascending;
  for (int i = 0; i < 32; ++i) ascending.push_back(static_cast<char>(i));
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(Crc32c(ascending), 0x46DD794Eu);
}

// The definition, bit by bit.
uint32_t BitwiseCrc32c(uint32_t crc, absl::string_view bytes) {
  crc = ~crc;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
  }
  return ~crc;
}

// The library takes other ways for short, long and unaligned bytes.
TEST(Crc32c, FollowsTheDefinitionAtEveryLengthAndOffset) {
  std::mt19937_64 random(7);
  std::string bytes(5000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  for (size_t offset = 0; offset < 16; ++offset) {
    for (size_t size = 0; size < 5000 - 16; size += size < 300 ? 1 : 97) {
      const absl::string_view part = absl::string_view(bytes).substr(offset, size);
      ASSERT_EQ(ExtendCrc32c(offset, part), BitwiseCrc32c(offset, part)) << offset << " " << size;
    }
  }
}

TEST(Crc32c, ExtendingInPartsEqualsTheWhole) {
  const std::string bytes = "a journal block in two runs";
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    EXPECT_EQ(ExtendCrc32c(Crc32c(bytes.substr(0, cut)), bytes.substr(cut)), Crc32c(bytes));
  }
}

}  // namespace
}  // namespace tidemark
