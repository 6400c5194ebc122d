#include "src/partition/hash_walk.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "src/base/check.h"
#include "src/base/crc32c.h"

namespace tidemark::partition {
namespace {

using HashItem = mvcc::VersionStore::HashItem;
using mvcc::RevisionKey;

void AppendBigEndian(uint64_t number, std::string* out) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(number >> shift));
}

// etcd's key of a stored change: main, '_', sub, and 't' for a tombstone.
std::string RevisionBytes(const HashItem& item) {
  std::string bytes;
  AppendBigEndian(static_cast<uint64_t>(item.revision.main.value()), &bytes);
  bytes.push_back('_');
  AppendBigEndian(static_cast<uint64_t>(item.revision.sub), &bytes);
  if (item.tombstone) bytes.push_back('t');
  return bytes;
}

class HashWalk : public std::enable_shared_from_this<HashWalk> {
 public:
  HashWalk(const Parts& parts, Executor& home, const Clock& clock, const HashWalkSpec& spec,
           RestPercent rest_percent, absl::AnyInvocable<void(uint32_t)> done)
      : parts_(parts),
        home_(home),
        clock_(clock),
        hashed_{.at = spec.at, .compacted = spec.compacted},
        step_(spec.step),
        rest_percent_(std::move(rest_percent)),
        done_(std::move(done)),
        sources_(parts.size()) {
    crc_ = Crc32c("key");
  }

  // What is dead counts only where nothing lives in the whole key space, so that is asked first.
  void Begin() { FindLive(parts_.ids()); }

 private:
  // Looks further in `asked`, where nothing was found yet.
  void FindLive(std::vector<PartitionId> asked) {
    if (asked.empty()) {
      hashed_.nothing_lives = true;
      return Step();
    }
    AskAll<bool>(
        parts_, asked, home_,
        [self = shared_from_this()](kvstore::Replica& replica, size_t,
                                    absl::AnyInvocable<void(bool)> answer) {
          std::string& resume_key = self->sources_[replica.partition().value()].live_resume_key;
          answer(replica.store().FindLiveStep(self->hashed_.at, self->step_, &resume_key));
        },
        [self = shared_from_this(), asked](std::vector<bool> found) mutable {
          if (std::find(found.begin(), found.end(), true) != found.end()) return self->Step();
          std::erase_if(asked, [&](PartitionId id) {
            return self->sources_[id.value()].live_resume_key.empty();
          });
          self->FindLive(std::move(asked));
        });
  }

  // Asks every partition that has nothing buffered for its next step.
  void Step() {
    std::vector<PartitionId> asked;
    for (PartitionId id : parts_.ids()) {
      const Source& source = sources_[id.value()];
      if (source.items.empty() && !Finished(source)) asked.push_back(id);
    }
    if (asked.empty()) return done_(crc_);
    AskAll<Part>(
        parts_, asked, home_,
        [self = shared_from_this()](kvstore::Replica& replica, size_t,
                                    absl::AnyInvocable<void(Part)> answer) {
          Part part;
          const absl::Duration begun = self->clock_.Monotonic();
          part.next = replica.store().VisitForHash(
              self->sources_[replica.partition().value()].next, self->hashed_, self->step_,
              [&part](HashItem item) { part.items.push_back(std::move(item)); });
          part.took = self->clock_.Monotonic() - begun;
          answer(std::move(part));
        },
        [self = shared_from_this(), asked](std::vector<Part> answers) {
          absl::Duration took;
          const absl::Duration begun = self->clock_.Monotonic();
          for (size_t i = 0; i < asked.size(); ++i) {
            Source& source = self->sources_[asked[i].value()];
            CHECK(source.next < answers[i].next);
            source.next = answers[i].next;
            took += answers[i].took;
            for (HashItem& item : answers[i].items) source.items.push_back(std::move(item));
          }
          self->Consume();
          took += self->clock_.Monotonic() - begun;
          self->StepAfter(took * self->rest_percent_() / 100);
        });
  }

  void StepAfter(absl::Duration rest) {
    if (rest <= absl::ZeroDuration()) return Step();
    home_.PostAt(clock_.Monotonic() + rest, [self = shared_from_this()] { self->Step(); });
  }

  struct Source {
    std::string live_resume_key;  // its own sequence's while that is asked
    std::deque<HashItem> items;
    RevisionKey next{Revision(0), 0};  // everything before it was asked for
  };
  struct Part {
    std::vector<HashItem> items;
    RevisionKey next{Revision(0), 0};
    absl::Duration took;
  };

  bool Finished(const Source& source) const { return source.next.main > hashed_.at; }

  // Feeds what lies before every unfinished partition's position.
  void Consume() {
    for (;;) {
      Source* first = nullptr;
      RevisionKey limit{Revision(INT64_MAX), 0};
      for (Source& source : sources_) {
        if (!Finished(source)) limit = std::min(limit, source.next);
        if (source.items.empty()) continue;
        if (first == nullptr || source.items.front().revision < first->items.front().revision) {
          first = &source;
        }
      }
      if (first == nullptr || first->items.front().revision >= limit) return;
      const HashItem& item = first->items.front();
      crc_ = ExtendCrc32c(crc_, RevisionBytes(item));
      crc_ = ExtendCrc32c(crc_, item.value.view());
      first->items.pop_front();
    }
  }

  const Parts& parts_;
  Executor& home_;
  const Clock& clock_;
  mvcc::VersionStore::HashSpec hashed_;  // nothing_lives once that is known
  const int64_t step_;
  const RestPercent rest_percent_;
  absl::AnyInvocable<void(uint32_t)> done_;
  std::vector<Source> sources_;
  uint32_t crc_ = 0;
};

}  // namespace

void RunHashWalk(const Parts& parts, Executor& home, const Clock& clock, const HashWalkSpec& spec,
                 RestPercent rest_percent, absl::AnyInvocable<void(uint32_t hash)> done) {
  std::make_shared<HashWalk>(parts, home, clock, spec, std::move(rest_percent), std::move(done))
      ->Begin();
}

}  // namespace tidemark::partition
