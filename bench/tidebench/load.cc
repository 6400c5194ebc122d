#include "bench/tidebench/load.h"

#include <utility>

namespace tidemark::bench {

Load::Load(Options options, std::vector<std::unique_ptr<Op>> ops)
    : Activity({.name = options.name,
                .is_main = options.is_main,
                .is_open_loop = options.arrivals.has_value()}),
      options_(std::move(options)),
      ops_(std::move(ops)) {
  for (const auto& op : ops_) {
    op->set_listener(this);
    idle_.push_back(op.get());
  }
}

void Load::Start(int64_t now_ns) {
  is_running_ = true;
  if (options_.arrivals) {
    options_.arrivals->StartAt(now_ns);
  } else {
    const std::deque<Op*> ops = std::exchange(idle_, {});
    for (Op* op : ops) Begin(op, now_ns);
  }
}

void Load::Pump(int64_t now_ns) {
  if (!options_.arrivals) return;
  while (is_running_ && !idle_.empty() && options_.arrivals->next_ns() <= now_ns) {
    Op* op = idle_.front();
    idle_.pop_front();
    const int64_t due_ns = options_.arrivals->next_ns();
    if (IsInSpan(due_ns)) ++result_.due;
    options_.arrivals->Take();
    Begin(op, due_ns);
  }
}

int64_t Load::next_due_ns() const {
  if (!is_running_ || !options_.arrivals || idle_.empty()) return INT64_MAX;
  return options_.arrivals->next_ns();
}

void Load::Begin(Op* op, int64_t due_ns) {
  op->due_ns = due_ns;
  if (!is_running_ || !op->Begin()) idle_.push_back(op);
}

void Load::EndSpan(int64_t now_ns) {
  Activity::EndSpan(now_ns);
  if (!options_.arrivals) return;
  for (; options_.arrivals->next_ns() < now_ns; options_.arrivals->Take()) {
    if (!IsInSpan(options_.arrivals->next_ns())) continue;
    ++result_.due;
    ++result_.never_sent;
    result_.latency_ns.Add(now_ns - options_.arrivals->next_ns());
    if (options_.on_never_sent) options_.on_never_sent(options_.arrivals->next_ns(), now_ns);
  }
}

void Load::OnOpDone(Op* op, const absl::Status& status) {
  ++answers_;
  if (!status.ok()) {
    Fail(status);
    is_running_ = false;
  }
  const int64_t now_ns = options_.now_ns();
  Record(*op, now_ns);
  if (options_.arrivals) {
    idle_.push_back(op);
  } else {
    Begin(op, now_ns);
  }
}

void Load::Record(const Op& op, int64_t now_ns) {
  const bool came_inside = IsInSpan(now_ns);
  if (came_inside) {
    ++result_.answers;
    result_.keys += op.keys;
  }
  if (options_.arrivals ? IsInSpan(op.due_ns) : came_inside) {
    if (!options_.arrivals) ++result_.due;
    ++result_.done;
    result_.latency_ns.Add(now_ns - op.due_ns);
  }
}

}  // namespace tidemark::bench
