#include "src/partition/partition_map.h"

#include <algorithm>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tidemark::partition {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

TEST(PartitionMap, DefaultRoutesLikeKubernetes) {
  const PartitionMap map = PartitionMap::Default();
  EXPECT_EQ(map.size(), 5u);
  EXPECT_EQ(map.name(map.Owner("/registry/pods/default/a")), "pods");
  EXPECT_EQ(map.name(map.Owner("/registry/minions/n1")), "nodes");
  EXPECT_EQ(map.name(map.Owner("/registry/leases/kube-node-lease/n1")), "leases");
  EXPECT_EQ(map.name(map.Owner("/registry/events/default/e")), "events");
  // Prefix neighbours, and keys under other roots.
  for (const char* key : {"/registry/podtemplates/x", "/registry/leasecandidates/x",
                          "compact_rev_key", "/registry/health", "/pods/x", "\x01", "\xff\xff"}) {
    EXPECT_EQ(map.name(map.Owner(key)), "rest") << key;
  }
}

TEST(PartitionMap, BareKeyBelongsToItsPrefix) {
  const PartitionMap map = PartitionMap::Default();
  EXPECT_EQ(map.name(map.Owner("/registry/pods")), "pods");
  EXPECT_EQ(map.name(map.Owner(absl::string_view("/registry/pods\0", 15))), "rest");
  EXPECT_EQ(map.name(map.Owner("/registry/pods.")), "rest");
  EXPECT_EQ(map.name(map.Owner("/registry/pods0")), "rest");
}

TEST(PartitionMap, OwnersOfARange) {
  const PartitionMap map = PartitionMap::Default();
  EXPECT_THAT(map.Owners(mvcc::FromEtcd("/registry/pods/", "/registry/pods0")),
              ElementsAre(PartitionId(1)));
  EXPECT_THAT(map.Owners(mvcc::FromEtcd("/registry/", "/registry0")).size(), 5u);
  const std::string zero(1, '\0');
  EXPECT_EQ(map.Owners(mvcc::FromEtcd(zero, zero)).size(), 5u);
  // An empty range still has somebody to answer it.
  EXPECT_THAT(map.Owners(mvcc::FromEtcd("/registry/pods/b", "/registry/pods/a")),
              ElementsAre(PartitionId(1)));
}

TEST(PartitionMap, ParsesFlagsAndFiles) {
  const auto flag = PartitionMap::Parse("pods=/registry/pods/;services=/s/a/,/s/b/");
  ASSERT_TRUE(flag.ok()) << flag.status();
  EXPECT_EQ(flag->Owner("/s/b/x"), PartitionId(2));
  const auto file =
      PartitionMap::Parse("# ours\npods: /registry/pods/\nservices: [/s/a/, \"/s/b/\"]\n");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->CanonicalText(), flag->CanonicalText());
  EXPECT_EQ(PartitionMap::Parse("single")->size(), 1u);
  EXPECT_EQ(PartitionMap::Parse("")->CanonicalText(), PartitionMap::Default().CanonicalText());
}

TEST(PartitionMap, RefusesWithReasons) {
  const auto message = [](absl::string_view text) {
    return std::string(PartitionMap::Parse(text).status().message());
  };
  EXPECT_THAT(message("a=/x/;a=/y/"), HasSubstr("occurs twice"));
  EXPECT_THAT(message("rest=/x/"), HasSubstr("\"rest\" is taken"));
  EXPECT_THAT(message("a=/x/,;b=/y/"), HasSubstr("empty prefix"));
  EXPECT_THAT(message("a=/x/;b=/x/y/"), HasSubstr("covers prefix"));
  EXPECT_THAT(message("a=/x/;b=/x/"), HasSubstr("covers prefix"));
  EXPECT_THAT(message("nonsense"), HasSubstr("not name=prefix"));
  std::string many;
  for (int i = 0; i < 64; ++i) absl::StrAppend(&many, "p", i, "=/p", i, "/;");
  EXPECT_THAT(message(many), HasSubstr("at most 63"));
}

std::string RandomKey(std::mt19937& random, size_t max_size) {
  static constexpr char kBytes[] = {'\0', '/', '0', 'a', 'b', '\xff'};
  std::string key;
  const size_t size = random() % max_size + 1;
  for (size_t i = 0; i < size; ++i) key.push_back(kBytes[random() % sizeof(kBytes)]);
  return key;
}

// Where the owner may change: behind nothing but these a tile begins.
std::vector<std::string> Borders(const std::vector<PartitionMap::Named>& named) {
  std::vector<std::string> borders;
  for (const PartitionMap::Named& partition : named) {
    for (const std::string& prefix : partition.prefixes) {
      borders.push_back(prefix);
      if (prefix.size() > 1 && prefix.back() == '/') {  // it has the bare key as well
        borders.push_back(prefix.substr(0, prefix.size() - 1));
        borders.push_back(borders.back() + '\0');
      }
      std::string end = prefix;
      while (!end.empty() && end.back() == '\xff') end.pop_back();
      if (end.empty()) continue;  // it has no end
      ++end.back();
      borders.push_back(std::move(end));
    }
  }
  return borders;
}

// X1: for any map and range, the owners are those of the keys in it: of each key, and nobody else.
TEST(PartitionMap, X1_TilesExactly) {
  std::mt19937 random(20240611);
  int maps = 0;
  while (maps < 2000) {
    std::vector<PartitionMap::Named> named(random() % 5);
    for (size_t i = 0; i < named.size(); ++i) {
      named[i].name = absl::StrCat("p", i);
      for (size_t n = random() % 3 + 1; n > 0; --n)
        named[i].prefixes.push_back(RandomKey(random, 4));
    }
    const auto map = PartitionMap::Create(named);
    if (!map.ok()) continue;
    ++maps;
    for (int r = 0; r < 10; ++r) {
      const std::string begin = RandomKey(random, 4);
      const std::string end = random() % 4 == 0 ? "" : RandomKey(random, 4);
      const mvcc::KeyRangeView range = mvcc::FromEtcd(begin, end);
      const auto owners = map->Owners(range);
      std::set<PartitionId> expected = {map->Owner(begin)};
      for (const std::string& border : Borders(named)) {
        if (range.Contains(border)) expected.insert(map->Owner(border));
      }
      EXPECT_THAT(owners, ElementsAreArray(expected));
      for (int k = 0; k < 20; ++k) {
        const std::string key = RandomKey(random, 5);
        if (!range.Contains(key)) continue;
        EXPECT_TRUE(std::binary_search(owners.begin(), owners.end(), map->Owner(key)));
      }
    }
  }
}

// Owners say what the prefixes say.
TEST(PartitionMap, OwnerFollowsPrefixes) {
  std::mt19937 random(7);
  const auto map = PartitionMap::Parse("a=/a/,b;z=0/a");
  ASSERT_TRUE(map.ok()) << map.status();
  for (int i = 0; i < 20000; ++i) {
    const std::string key = RandomKey(random, 4);
    absl::string_view expected = "rest";
    if (key.rfind("/a/", 0) == 0 || key == "/a" || key.rfind("b", 0) == 0) expected = "a";
    if (key.rfind("0/a", 0) == 0) expected = "z";
    EXPECT_EQ(map->name(map->Owner(key)), expected);
  }
}

}  // namespace
}  // namespace tidemark::partition
