// A Watch stream with one watcher for all keys of a dataset, as kube-apiserver has one for each
// resource.
//
// Checks what it is told: revisions rise, values are those of their keys, the values that they
// replace come along, progress is never ahead of events. Whether events are those of what was
// written is for the listener to compare.
// Bound to the thread of its connection.
#pragma once

#include <cstdint>
#include <optional>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/revision_clock.h"
#include "bench/tidebench/wire/connection.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

class WatchListener {
 public:
  virtual ~WatchListener() = default;
  virtual void OnEvent(int64_t revision, const Change& change) = 0;
  // Nothing comes after this.
  virtual void OnWatchFailed(const absl::Status& status) = 0;
};

// What can be asked whether it has told of everything.
class ProgressStream {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Everything up to that revision was told before.
    virtual void OnProgress(int64_t revision) = 0;
  };

  virtual ~ProgressStream() = default;
  virtual void RequestProgress() = 0;
  // It must live as long as this.
  void set_progress_listener(Listener* listener) { progress_listener_ = listener; }

 protected:
  Listener* progress_listener() { return progress_listener_; }

 private:
  Listener* progress_listener_ = nullptr;
};

class WatchStream : public Call, public ProgressStream {
 public:
  WatchStream(Connection& connection, const Dataset* dataset, WatchListener* listener)
      : connection_(connection), dataset_(dataset), listener_(listener) {}

  // Of all that is written behind `revision`.
  void Open(int64_t revision);
  bool is_created() const { return is_created_; }

  void RequestProgress() override;

 private:
  void OnMessage(absl::string_view message) override;
  void OnEnd(const absl::Status& status) override;
  absl::Status Handle();
  absl::Status HandleEvent(const mvccpb::Event& event);
  // Nothing when it is no event of a key of ours.
  std::optional<Change> ChangeIn(const mvccpb::Event& event) const;
  void Fail(const absl::Status& status);

  Connection& connection_;
  const Dataset* const dataset_;
  WatchListener* const listener_;
  etcdserverpb::WatchResponse response_;
  bool is_created_ = false;
  bool has_failed_ = false;
  int64_t last_revision_ = 0;  // of events, or progress
};

}  // namespace tidemark::bench
