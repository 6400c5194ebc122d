#include "src/partition/journal_writer.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::partition {

void JournalWriter::Append(journal::Record record, Announce announce, Done done) {
  if (record.payload.size() > journal_.payload_bytes_max() &&
      !PLANTED_BUG("coordinator_numbers_what_is_too_large")) {
    home_.Post([done = std::move(done)]() mutable {
      done(absl::InvalidArgumentError("larger than the journal takes"));
    });
    return;
  }
  Waiting item{std::move(record), std::move(announce), std::move(done)};
  if (failed_) {
    waiting_.push_back(std::move(item));
  } else {
    Send(std::move(item));
  }
}

void JournalWriter::Send(Waiting item) {
  const uint64_t number = next_number_++;
  item.record.origin = origin_;
  item.record.origin_number = number;
  ++in_flight_;
  item.announce(origin_, number);
  FAIL_POINT("partition.before_append");
  journal_.Append(std::move(item.record), [this, number, done = std::move(item.done)](
                                              absl::StatusOr<journal::Placed> placed) mutable {
    home_.Post([this, number, done = std::move(done), placed]() mutable {
      OnPlaced(number, std::move(done), std::move(placed));
    });
  });
}

void JournalWriter::OnPlaced(uint64_t number, Done done, absl::StatusOr<journal::Placed> placed) {
  CHECK(in_flight_ > 0);
  --in_flight_;
  if (placed.ok()) {
    last_placed_ = std::max(last_placed_, number);
  } else {
    failed_ = true;
  }
  done(std::move(placed));
  if (!failed_ || in_flight_ > 0) return;
  failed_ = false;
  next_number_ = last_placed_ + 1;
  while (!waiting_.empty() && !failed_) {
    Waiting item = std::move(waiting_.front());
    waiting_.pop_front();
    Send(std::move(item));
  }
}

}  // namespace tidemark::partition
