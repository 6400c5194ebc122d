// Reading and writing the fixed-width little-endian integers of files.
//
// ByteReader never reads past its end: after the first short read it stays failed. Values.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace tidemark {

static_assert(std::endian::native == std::endian::little);

template <typename T>
void AppendLittle(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

template <typename T>
void StoreLittle(char* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

template <typename T>
T LoadLittle(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

class ByteReader {
 public:
  explicit ByteReader(absl::string_view bytes) : rest_(bytes) {}

  template <typename T>
  T Read() {
    if (failed_ || rest_.size() < sizeof(T)) {
      failed_ = true;
      return T{};
    }
    T value = LoadLittle<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return value;
  }

  absl::string_view ReadBytes(size_t size) {
    if (failed_ || rest_.size() < size) {
      failed_ = true;
      return {};
    }
    absl::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  bool failed() const { return failed_; }
  absl::string_view rest() const { return rest_; }

 private:
  absl::string_view rest_;
  bool failed_ = false;
};

}  // namespace tidemark
