#include "bench/tidebench/dataset.h"

#include <utility>

#include "bench/tidebench/small_random.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

constexpr int kKeyDigits = 8;
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

void Dataset::ValueOf(int64_t index, int64_t writes, std::string* value) const {
  value->assign(kMagic.data(), kMagic.size());
  value->append(options_.prefix);
  AppendDigits(index, kKeyDigits, value);
  value->push_back('#');
  AppendDigits(writes, 12, value);
  value->push_back(' ');
  const size_t begin = static_cast<size_t>(index * 31 + writes * 17) % kFillerStarts;
  const auto size = static_cast<size_t>(options_.value_bytes);
  if (value->size() < size) value->append(filler_, begin, size - value->size());
}

std::string PrefixEnd(absl::string_view prefix) {
  std::string end(prefix);
  CHECK(!end.empty() && end.back() != '\xff');
  ++end.back();
  return end;
}

}  // namespace tidemark::bench
