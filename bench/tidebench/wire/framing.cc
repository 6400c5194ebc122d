#include "bench/tidebench/wire/framing.h"

#include <algorithm>

namespace tidemark::bench {
namespace {

size_t FramedBytes(const char* prefix) {
  const auto byte = [&](int i) { return static_cast<size_t>(static_cast<uint8_t>(prefix[i])); };
  return kFramePrefixBytes + (byte(1) << 24 | byte(2) << 16 | byte(3) << 8 | byte(4));
}

}  // namespace

void AppendFramed(const google::protobuf::MessageLite& message, std::string* to) {
  const size_t size = message.ByteSizeLong();
  const size_t at = to->size();
  to->resize(at + kFramePrefixBytes + size);
  char* out = to->data() + at;
  out[0] = 0;
  for (int i = 1; i < 5; ++i) out[i] = static_cast<char>(size >> (8 * (4 - i)));
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(out) + kFramePrefixBytes);
}

bool FrameReader::Add(absl::string_view bytes,
                      absl::FunctionRef<void(absl::string_view)> on_message) {
  while (!bytes.empty()) {
    if (held_.empty() && bytes.size() >= kFramePrefixBytes &&
        bytes.size() >= FramedBytes(bytes.data())) {
      if (bytes[0] != 0) return false;
      const size_t whole = FramedBytes(bytes.data());
      on_message(bytes.substr(kFramePrefixBytes, whole - kFramePrefixBytes));
      bytes.remove_prefix(whole);
      continue;
    }
    const auto wanted = [&] {
      return held_.size() < kFramePrefixBytes ? kFramePrefixBytes : FramedBytes(held_.data());
    };
    held_.reserve(wanted());
    const size_t taken = std::min(wanted() - held_.size(), bytes.size());
    held_.append(bytes.data(), taken);
    bytes.remove_prefix(taken);
    if (held_.size() < kFramePrefixBytes) continue;
    if (held_[0] != 0) return false;
    if (held_.size() == wanted()) {
      on_message(absl::string_view(held_).substr(kFramePrefixBytes));
      held_.clear();
    }
  }
  return true;
}

}  // namespace tidemark::bench
