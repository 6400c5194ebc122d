#include "src/partition/partition_map.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "src/base/check.h"

namespace tidemark::partition {
namespace {

constexpr absl::string_view kRest = "rest";

// The first key behind all keys with this prefix; "" when there is none.
std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<uint8_t>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  return prefix;
}

absl::Status Invalid(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("partition map: ", text));
}

absl::Status CheckNames(const std::vector<PartitionMap::Named>& named) {
  if (named.size() + 1 > PartitionMap::kMaxPartitions) {
    return Invalid(absl::StrCat(named.size(), " partitions besides \"rest\"; at most ",
                                PartitionMap::kMaxPartitions - 1));
  }
  std::set<absl::string_view> names;
  for (const auto& item : named) {
    if (item.name.empty()) return Invalid("a partition without a name");
    if (item.name == kRest) return Invalid("the name \"rest\" is taken by what no prefix claims");
    if (!names.insert(item.name).second) {
      return Invalid(absl::StrCat("the name \"", item.name, "\" occurs twice"));
    }
    if (item.prefixes.empty()) {
      return Invalid(absl::StrCat("partition \"", item.name, "\" has no prefix"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPrefixes(const std::vector<PartitionMap::Named>& named) {
  std::vector<std::string> prefixes;
  for (const auto& item : named) {
    for (const std::string& prefix : item.prefixes) {
      if (prefix.empty()) return Invalid(absl::StrCat("empty prefix in \"", item.name, "\""));
      prefixes.push_back(prefix);
    }
  }
  if (prefixes.size() > PartitionMap::kMaxPrefixes) {
    return Invalid(absl::StrCat("more than ", PartitionMap::kMaxPrefixes, " prefixes"));
  }
  std::sort(prefixes.begin(), prefixes.end());
  // In sorted order a prefix of a later string is followed directly by strings that start with it.
  for (size_t i = 1; i < prefixes.size(); ++i) {
    if (absl::StartsWith(prefixes[i], prefixes[i - 1])) {
      return Invalid(absl::StrCat("prefix \"", absl::CEscape(prefixes[i - 1]),
                                  "\" covers prefix \"", absl::CEscape(prefixes[i]), "\""));
    }
  }
  return absl::OkStatus();
}

// "name=prefix,prefix" or "name: prefix, prefix".
absl::StatusOr<PartitionMap::Named> ParseItem(absl::string_view item) {
  const size_t cut = std::min(item.find('='), item.find(": "));
  if (cut == absl::string_view::npos) {
    return Invalid(absl::StrCat("\"", item, "\" is not name=prefix[,prefix...]"));
  }
  PartitionMap::Named named;
  named.name = std::string(absl::StripAsciiWhitespace(item.substr(0, cut)));
  absl::string_view values = absl::StripAsciiWhitespace(item.substr(cut + 1));
  if (absl::StartsWith(values, "[") && absl::EndsWith(values, "]")) {
    values = values.substr(1, values.size() - 2);
  }
  for (absl::string_view value : absl::StrSplit(values, ',')) {
    value = absl::StripAsciiWhitespace(value);
    if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0]) {
      value = value.substr(1, value.size() - 2);
    }
    named.prefixes.emplace_back(value);
  }
  return named;
}

}  // namespace

PartitionMap::PartitionMap(std::vector<Named> named) : named_(std::move(named)) {
  for (uint32_t i = 0; i < size(); ++i) ids_.emplace_back(i);
  std::map<std::string, PartitionId> begins = {{"", kSystemPartition}};
  const auto claim = [&begins](const std::string& begin, const std::string& end, PartitionId id) {
    begins.insert_or_assign(begin, id);
    if (!end.empty()) begins.emplace(end, kSystemPartition);  // unless another interval begins here
  };
  for (size_t i = 0; i < named_.size(); ++i) {
    const PartitionId id(static_cast<uint32_t>(i + 1));
    for (const std::string& prefix : named_[i].prefixes) {
      claim(prefix, PrefixEnd(prefix), id);
      const std::string bare(absl::StripSuffix(prefix, "/"));
      if (bare != prefix && !bare.empty()) claim(bare, bare + std::string(1, '\0'), id);
    }
  }
  for (auto& [begin, owner] : begins) {
    if (!tiles_.empty() && tiles_.back().owner == owner) continue;
    tiles_.push_back({begin, owner});
  }
}

absl::StatusOr<PartitionMap> PartitionMap::Create(std::vector<Named> named) {
  if (absl::Status status = CheckNames(named); !status.ok()) return status;
  if (absl::Status status = CheckPrefixes(named); !status.ok()) return status;
  return PartitionMap(std::move(named));
}

PartitionMap PartitionMap::Default() {
  return PartitionMap({{"pods", {"/registry/pods/"}},
                       {"nodes", {"/registry/minions/"}},
                       {"leases", {"/registry/leases/"}},
                       {"events", {"/registry/events/"}}});
}

PartitionMap PartitionMap::Single() { return PartitionMap({}); }

absl::StatusOr<PartitionMap> PartitionMap::Parse(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (text == "single") return Single();
  if (text.empty() || text == "default") return Default();
  std::vector<Named> named;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (absl::StartsWith(line, "#")) continue;
    for (absl::string_view item : absl::StrSplit(line, ';')) {
      item = absl::StripAsciiWhitespace(item);
      if (item.empty()) continue;
      absl::StatusOr<Named> parsed = ParseItem(item);
      if (!parsed.ok()) return parsed.status();
      named.push_back(*std::move(parsed));
    }
  }
  return Create(std::move(named));
}

absl::string_view PartitionMap::name(PartitionId id) const {
  CHECK(id.value() < size());
  return id == kSystemPartition ? kRest : absl::string_view(named_[id.value() - 1].name);
}

size_t PartitionMap::TileOf(absl::string_view key) const {
  const auto after = std::upper_bound(
      tiles_.begin(), tiles_.end(), key,
      [](absl::string_view k, const Tile& tile) { return k < absl::string_view(tile.begin); });
  CHECK(after != tiles_.begin());
  return static_cast<size_t>(after - tiles_.begin()) - 1;
}

PartitionId PartitionMap::Owner(absl::string_view key) const { return tiles_[TileOf(key)].owner; }

std::vector<PartitionId> PartitionMap::Owners(const mvcc::KeyRangeView& range) const {
  if (range.single || range.Empty()) return {Owner(range.begin)};
  std::vector<PartitionId> owners;
  for (size_t i = TileOf(range.begin); i < tiles_.size(); ++i) {
    if (!range.to_infinity && absl::string_view(tiles_[i].begin) >= range.end) break;
    owners.push_back(tiles_[i].owner);
  }
  std::sort(owners.begin(), owners.end());
  owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
  return owners;
}

std::string PartitionMap::CanonicalText() const {
  std::vector<std::string> items;
  for (size_t i = 0; i < named_.size(); ++i) {
    std::vector<std::string> prefixes;
    for (const std::string& prefix : named_[i].prefixes)
      prefixes.push_back(absl::CHexEscape(prefix));
    std::sort(prefixes.begin(), prefixes.end());
    items.push_back(absl::StrCat(i + 1, "=", absl::StrJoin(prefixes, ",")));
  }
  return absl::StrCat("partitions-v1;", absl::StrJoin(items, ";"));
}

}  // namespace tidemark::partition
