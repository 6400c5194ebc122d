#include "src/server/transport/header_cache.h"

#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"

namespace tidemark::server {
namespace {

class HeaderCacheTest : public ::testing::Test {
 protected:
  HeaderCacheTest() {
    for (Method& method : methods_) table_.emplace(method.path, &method);
  }

  std::vector<Method> methods_ = {{"/a.B/One"}, {"/a.B/Two"}};
  MethodTable table_;
  HeaderCache cache_{table_};
};

TEST_F(HeaderCacheTest, SaysWhatReadingTheHeaderAgainWouldSay) {
  std::mt19937 random(1);
  const std::vector<std::string> names = {":path", "content-type", "te", "a-bin", "hasleader", ""};
  const std::vector<std::string> values = {
      "/a.B/One", "/a.B/Two", "/a.B/Six", "application/grpc", "application/json",
      "trailers", "true",     "gzip",     "line\nfeed",       ""};
  for (int i = 0; i < 100'000; ++i) {
    const std::string& name = names[random() % names.size()];
    const size_t longer = random() % 8 == 0 ? random() % (2 * HeaderCache::kMaxHeldBytes) : 0;
    const std::string value = values[random() % values.size()] + std::string(longer, 'x');
    const HeaderField cached = cache_.Read(name, value);
    const HeaderField read = HeaderField::Read(name, value, table_);
    ASSERT_EQ(std::tie(cached.kind, cached.is_grpc, cached.method),
              std::tie(read.kind, read.is_grpc, read.method))
        << name << ": " << value;
  }
}

// Proved by what reading it again would not find any more.
TEST_F(HeaderCacheTest, DoesNotReadAgainWhatComesAgain) {
  const Method* const one = cache_.Read(":path", "/a.B/One").method;
  ASSERT_NE(one, nullptr);
  EXPECT_NE(cache_.Read(":path", "/a.B/Two").method, one);
  table_.clear();
  EXPECT_EQ(cache_.Read(":path", "/a.B/One").method, one);
  EXPECT_EQ(cache_.Read(":path", "/a.B/one").method, nullptr);
}

TEST_F(HeaderCacheTest, KeepsNothingThatIsForbidden) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(cache_.Read("te", "gzip").kind, HeaderField::Kind::kBroken);
    EXPECT_EQ(cache_.Read("te", "trailers").kind, HeaderField::Kind::kUnused);
  }
}

}  // namespace
}  // namespace tidemark::server
