// What a fuzz target is: a name and a function that takes any bytes and must come back.
//
//   FUZZ_TARGET(url) { (void)server::ParseUrl(input); }     // `input` is an absl::string_view
//
// Hides who calls: libFuzzer (libfuzzer_main.cc, one target per binary) or the replayer of files
// (replay_main.cc, all targets in one binary, any compiler). A target keeps nothing between calls,
// so that an input alone repeats what it found; it fails by CHECK or by a sanitizer.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/string_view.h"
#include "src/base/check.h"

namespace tidemark::fuzz {

struct Target {
  const char* name;
  void (*run)(absl::string_view input);
};

// Of the whole binary.
std::vector<Target>& Targets();

struct Registration {
  Registration(const char* name, void (*run)(absl::string_view)) {
    Targets().push_back({name, run});
  }
};

// Cuts an input into the arguments of calls, from the front; zeros when it is used up.
class Input {
 public:
  explicit Input(absl::string_view bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }
  absl::string_view rest() const { return rest_; }

  template <typename T>
  T Number() {
    static_assert(std::is_integral_v<T>);
    T value = 0;
    absl::string_view bytes = Bytes(sizeof(T));
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  uint8_t Byte() { return Number<uint8_t>(); }
  // 0 <= result < bound.
  size_t Below(size_t bound) { return bound == 0 ? 0 : Byte() % bound; }
  bool Bool() { return (Byte() & 1) != 0; }
  absl::string_view Bytes(size_t size) {
    absl::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }
  // A length byte, then so many bytes.
  absl::string_view Text() { return Bytes(Byte()); }

 private:
  absl::string_view rest_;
};

}  // namespace tidemark::fuzz

#define FUZZ_TARGET(name)                                                                   \
  static void Fuzz_##name(absl::string_view input);                                         \
  static const ::tidemark::fuzz::Registration fuzz_registration_##name(#name, Fuzz_##name); \
  static void Fuzz_##name(absl::string_view input)
