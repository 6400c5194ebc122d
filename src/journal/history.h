// Which starts a journal has had. Two copies of a data directory that went on apart have the same
// identity, positions and terms; the random id that each start gives itself tells them apart.
//
// Hides how many starts are remembered. Values; decoding takes hostile input.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/base/ids.h"

namespace tidemark::journal {

class History {
 public:
  // Older ones are forgotten, and what was left in memory by them is not believed any more. So many
  // that a crash loop does not reach it soon.
  static constexpr size_t kStartsMax = 4096;

  struct Point {
    Position position;
    Revision revision;
    friend bool operator==(const Point&, const Point&) = default;
  };
  struct Start {
    uint64_t id = 0;  // random, not 0
    Term term;
    Point begin;  // the newest entry before it
    friend bool operator==(const Start&, const Start&) = default;
  };

  const std::vector<Start>& starts() const { return starts_; }  // the oldest first
  // 0 without one.
  uint64_t newest_id() const { return starts_.empty() ? 0 : starts_.back().id; }
  // Starts that began behind it are not on this journal's way: it lost what they had written. One
  // of the same term got no further than this.
  void Add(const Start& start);

  // Whether the state that a process of start `id` had lies on the way to `tail` in this journal;
  // DataLoss says why not. `reached`: its newest change of keys, and the newest entry that took
  // away something else.
  absl::Status Check(uint64_t id, const Point& reached, const Point& tail) const;

  std::string Encode() const;
  static absl::StatusOr<History> Decode(absl::string_view encoded);

  friend bool operator==(const History&, const History&) = default;

 private:
  std::vector<Start> starts_;
};

}  // namespace tidemark::journal
