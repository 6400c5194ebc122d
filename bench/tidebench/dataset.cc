#include "bench/tidebench/dataset.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "bench/tidebench/small_random.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

constexpr int kKeyDigits = 8;
constexpr int kWritesDigits = 12;
constexpr int64_t kFillerStarts = 4096;
constexpr absl::string_view kMagic("k8s\0", 4);  // Kubernetes' mark of a protobuf object

void AppendDigits(int64_t number, int digits, std::string* to) {
  const size_t begin = to->size();
  to->resize(begin + digits);
  for (int i = digits - 1; i >= 0; --i, number /= 10) {
    (*to)[begin + i] = static_cast<char>('0' + number % 10);
  }
}

// Text that does not compress to nothing; the same in every run.
std::string MakeFiller(int64_t size) {
  constexpr absl::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyz-./:{}\" ,0123456789ABCDEFGHIJKLMNOPQRST";
  SmallRandom random(20261126);
  std::string filler;
  filler.reserve(size);
  while (static_cast<int64_t>(filler.size()) < size) {
    filler.push_back(kLetters[random.Below(static_cast<int64_t>(kLetters.size()))]);
  }
  return filler;
}

}  // namespace

Dataset::Dataset(Options options)
    : options_(std::move(options)), filler_(MakeFiller(options_.value_bytes + kFillerStarts)) {
  CHECK(options_.keys > 0 && options_.keys <= 100'000'000);
}

void Dataset::KeyOf(int64_t index, std::string* key) const {
  *key = options_.prefix;
  AppendDigits(index, kKeyDigits, key);
}

absl::string_view Dataset::FillerOf(int64_t index, int64_t writes, size_t size) const {
  const size_t begin = static_cast<size_t>(index * 31 + writes * 17) % kFillerStarts;
  return absl::string_view(filler_).substr(begin, size);
}

void Dataset::ValueOf(int64_t index, int64_t writes, std::string* value) const {
  value->assign(kMagic.data(), kMagic.size());
  value->append(options_.prefix);
  AppendDigits(index, kKeyDigits, value);
  value->push_back('#');
  AppendDigits(writes, kWritesDigits, value);
  const auto size = static_cast<size_t>(options_.value_bytes);
  if (value->size() >= size) return;
  const absl::string_view filler = FillerOf(index, writes, size - value->size());
  value->append(filler.data(), filler.size());
}

int64_t Dataset::IndexOf(absl::string_view key) const {
  int64_t index = -1;
  if (!absl::ConsumePrefix(&key, options_.prefix) || key.size() != kKeyDigits ||
      !absl::SimpleAtoi(key, &index)) {
    return -1;
  }
  return index;
}

int64_t Dataset::WritesIn(int64_t index, absl::string_view value) const {
  const size_t expected_bytes =
      std::max(static_cast<size_t>(options_.value_bytes),
               kMagic.size() + options_.prefix.size() + kKeyDigits + 1 + kWritesDigits);
  if (value.size() != expected_bytes || !absl::ConsumePrefix(&value, kMagic)) return -1;
  if (IndexOf(value.substr(0, options_.prefix.size() + kKeyDigits)) != index) return -1;
  value.remove_prefix(options_.prefix.size() + kKeyDigits);
  int64_t writes = 0;
  if (value[0] != '#' || !absl::SimpleAtoi(value.substr(1, kWritesDigits), &writes)) return -1;
  value.remove_prefix(1 + kWritesDigits);
  return value == FillerOf(index, writes, value.size()) ? writes : -1;
}

bool Dataset::Note(int64_t index, int64_t revision, int64_t due_ns, bool is_delete) {
  Entry& known = entry(index);
  const bool is_newer = revision > known.mod_revision;
  const int64_t writes = known.writes + (is_delete ? 0 : 1);
  known = is_delete ? Entry() : Entry{.mod_revision = revision, .writes = writes};
  newest_revision_ = std::max(newest_revision_, revision);
  if (clock_ != nullptr) clock_->Written(revision, {index, writes, is_delete}, due_ns);
  return is_newer;
}

bool Dataset::NoteWrite(int64_t index, int64_t revision, int64_t due_ns) {
  return Note(index, revision, due_ns, false);
}

bool Dataset::NoteDelete(int64_t index, int64_t revision, int64_t due_ns) {
  return Note(index, revision, due_ns, true);
}

std::string PrefixEnd(absl::string_view prefix) {
  std::string end(prefix);
  CHECK(!end.empty() && end.back() != '\xff');
  ++end.back();
  return end;
}

}  // namespace tidemark::bench
