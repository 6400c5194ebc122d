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
#include "bench/tidebench/revision_clock.h"

namespace tidemark::bench {

class Dataset {
 public:
  struct Options {
    std::string prefix;  // key i is this and eight digits
    int64_t keys = 0;    // at most; memory is taken for those that are used
    int64_t value_bytes = 0;
  };
  enum class Pending { kNothing, kWrite, kDelete };
  struct Entry {
    int64_t mod_revision = 0;             // 0: not there
    int64_t writes = 0;                   // made by us, acknowledged
    Pending pending = Pending::kNothing;  // sent, not acknowledged
  };

  explicit Dataset(Options options);

  int64_t size() const { return options_.keys; }
  Entry& entry(int64_t index) {
    if (index >= static_cast<int64_t>(entries_.size())) entries_.resize(index + 1);
    return entries_[index];
  }
  const std::vector<Entry>& entries() const { return entries_; }
  int64_t value_bytes() const { return options_.value_bytes; }
  const std::string& prefix() const { return options_.prefix; }

  // What is sent for a key; one request at a time, noted before the other two.
  void NoteSent(int64_t index, Pending pending) { entry(index).pending = pending; }
  // An acknowledged write of the key, due at that time; false when its revision is not newer than
  // what was known.
  bool NoteWrite(int64_t index, int64_t revision, int64_t due_ns);
  bool NoteDelete(int64_t index, int64_t revision, int64_t due_ns);
  void set_clock(RevisionClock* clock) { clock_ = clock; }      // is told of writes
  int64_t newest_revision() const { return newest_revision_; }  // of acknowledged ones

  // Written into `key` and `value`, whose memory is used again.
  void KeyOf(int64_t index, std::string* key) const;
  void ValueOf(int64_t index, int64_t writes, std::string* value) const;
  // -1 when it is none of ours.
  int64_t IndexOf(absl::string_view key) const;
  // How often written, if it is a value of that key; -1 when not.
  int64_t WritesIn(int64_t index, absl::string_view value) const;

 private:
  const Options options_;
  absl::string_view FillerOf(int64_t index, int64_t writes, size_t size) const;

  bool Note(int64_t index, int64_t revision, int64_t due_ns, bool is_delete);

  std::vector<Entry> entries_;
  RevisionClock* clock_ = nullptr;
  int64_t newest_revision_ = 0;
  const std::string filler_;
};

// The end of the range of keys that begin with `prefix`.
std::string PrefixEnd(absl::string_view prefix);

}  // namespace tidemark::bench
