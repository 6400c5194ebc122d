// The keys that a load works on: their names, the values they should have, and what is known of
// them.
//
// Names and values are made from (index, how often written), so that an answer for another key or
// an older value is noticed, and nothing but two numbers a key is kept. Bound to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tidemark::bench {

class Dataset {
 public:
  struct Options {
    std::string prefix;  // key i is this and eight digits
    int64_t keys = 0;    // at most; memory is taken for those that are used
    int64_t value_bytes = 0;
  };
  struct Entry {
    int64_t mod_revision = 0;  // 0: not there
    int64_t writes = 0;        // made by us, acknowledged
  };

  explicit Dataset(Options options);

  int64_t size() const { return options_.keys; }
  Entry& entry(int64_t index) {
    if (index >= static_cast<int64_t>(entries_.size())) entries_.resize(index + 1);
    return entries_[index];
  }
  const std::string& prefix() const { return options_.prefix; }

  // Written into `key` and `value`, whose memory is used again.
  void KeyOf(int64_t index, std::string* key) const;
  void ValueOf(int64_t index, int64_t writes, std::string* value) const;

 private:
  const Options options_;
  std::vector<Entry> entries_;
  const std::string filler_;
};

// The end of the range of keys that begin with `prefix`.
std::string PrefixEnd(absl::string_view prefix);

}  // namespace tidemark::bench
