#include "bench/tidebench/workloads/watch_stream.h"

#include <utility>

#include "bench/tidebench/workloads/answers.h"
#include "bench/tidebench/workloads/methods.h"

namespace tidemark::bench {

using mvccpb::Event;

void WatchStream::Open(int64_t revision) {
  last_revision_ = revision;
  etcdserverpb::WatchRequest request;
  auto* create = request.mutable_create_request();
  create->set_key(dataset_->prefix());
  create->set_range_end(PrefixEnd(dataset_->prefix()));
  create->set_start_revision(revision + 1);
  create->set_prev_kv(true);
  create->set_progress_notify(true);
  connection_.Start(this, kWatchMethod, false);
  connection_.Send(this, request);
}

void WatchStream::RequestProgress() {
  if (has_failed_) return;
  etcdserverpb::WatchRequest request;
  request.mutable_progress_request();
  connection_.Send(this, request);
}

void WatchStream::OnMessage(absl::string_view message) {
  if (has_failed_) return;
  absl::Status status = WrongAnswer("no WatchResponse");
  if (response_.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    status = Handle();
  }
  if (!status.ok()) Fail(status);
}

absl::Status WatchStream::Handle() {
  if (response_.canceled() || response_.compact_revision() != 0) {
    return WrongAnswer(absl::StrCat("cancelled: ", Brief(response_)));
  }
  if (response_.created()) {
    if (std::exchange(is_created_, true)) return WrongAnswer("created twice");
    return absl::OkStatus();
  }
  if (!is_created_) return WrongAnswer("told of something before it was created");
  for (const Event& event : response_.events()) {
    absl::Status status = HandleEvent(event);
    if (!status.ok()) return status;
  }
  if (response_.header().revision() < last_revision_) {
    return WrongAnswer(
        absl::StrCat("header behind revision ", last_revision_, ": ", Brief(response_)));
  }
  if (response_.events().empty()) {
    last_revision_ = response_.header().revision();
    if (response_.watch_id() == -1 && progress_listener() != nullptr) {
      progress_listener()->OnProgress(last_revision_);
    }
  }
  return absl::OkStatus();
}

absl::Status WatchStream::HandleEvent(const Event& event) {
  const mvccpb::KeyValue& kv = event.kv();
  const std::optional<Change> change = ChangeIn(event);
  if (!change || kv.mod_revision() <= last_revision_) {
    return WrongAnswer(absl::StrCat("behind revision ", last_revision_, ": ", Brief(event)));
  }
  last_revision_ = kv.mod_revision();
  listener_->OnEvent(kv.mod_revision(), *change);
  return absl::OkStatus();
}

std::optional<Change> WatchStream::ChangeIn(const Event& event) const {
  const mvccpb::KeyValue& kv = event.kv();
  const mvccpb::KeyValue& replaced = event.prev_kv();
  Change change{.index = dataset_->IndexOf(kv.key()), .is_delete = event.type() == Event::DELETE};
  if (change.index < 0) return std::nullopt;
  int64_t writes_before = 0;
  if (change.is_delete || kv.create_revision() < kv.mod_revision()) {
    writes_before = dataset_->WritesIn(change.index, replaced.value());
    if (writes_before <= 0 || replaced.key() != kv.key() ||
        replaced.mod_revision() >= kv.mod_revision()) {
      return std::nullopt;
    }
  }
  change.writes = writes_before;
  if (change.is_delete) return change;
  change.writes = dataset_->WritesIn(change.index, kv.value());
  if (change.writes != writes_before + 1) return std::nullopt;
  return change;
}

void WatchStream::OnEnd(const absl::Status& status) {
  Fail(status.ok() ? WrongAnswer("the stream ended") : status);
}

void WatchStream::Fail(const absl::Status& status) {
  if (std::exchange(has_failed_, true)) return;
  listener_->OnWatchFailed(status);
}

}  // namespace tidemark::bench
