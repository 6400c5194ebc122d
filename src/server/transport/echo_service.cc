#include "src/server/transport/echo_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tidemark::server {
namespace {

constexpr size_t kRunBytes = 64 << 10;

SharedBytes Run() {
  static const SharedBytes run = SharedBytes::Own(std::string(kRunBytes, 'r'));
  return run;
}

ByteChain ChainOf(size_t size_bytes) {
  ByteChain chain;
  for (; size_bytes >= kRunBytes; size_bytes -= kRunBytes) chain.Append(Run());
  if (size_bytes > 0) chain.Append(std::string(size_bytes, 'e'));
  return chain;
}

int64_t NumberIn(const SharedBytes& message) {
  int64_t number = 0;
  return absl::SimpleAtoi(message.view(), &number) ? number : 0;
}

class Handler : public CallHandler {
 public:
  Handler(ServerCallPtr call, std::shared_ptr<EchoCounters> counters)
      : call_(std::move(call)), counters_(std::move(counters)) {
    counters_->open_calls.fetch_add(1);
  }
  void OnMessage(absl::string_view message) override {
    counters_->messages.fetch_add(1);
    Handle(SharedBytes::Copy(message));
  }
  void OnDone() override {
    counters_->open_calls.fetch_sub(1);
    counters_->done_calls.fetch_add(1);
    if (call_->cancelled()->load()) counters_->cancelled_calls.fetch_add(1);
  }

 protected:
  virtual void Handle(SharedBytes message) = 0;
  void Answer(ByteChain chain) {
    call_->Send(std::move(chain));
    call_->Finish(absl::OkStatus());
  }
  void NoteUnsent() {
    const auto now = static_cast<int64_t>(call_->unsent_bytes());
    int64_t seen = counters_->max_unsent_bytes.load();
    while (now > seen && !counters_->max_unsent_bytes.compare_exchange_weak(seen, now)) {
    }
  }

  const ServerCallPtr call_;
  const std::shared_ptr<EchoCounters> counters_;
};

class Unary : public Handler {
  using Handler::Handler;
  void Handle(SharedBytes message) override {
    ByteChain chain;
    chain.Append(std::move(message));
    Answer(std::move(chain));
  }
};

class Threaded : public Handler {
  using Handler::Handler;
  void Handle(SharedBytes message) override {
    counters_->worker.Post([call = call_, message = std::move(message)] {
      ByteChain chain;
      chain.Append(message);
      call->Send(std::move(chain));
      call->Finish(absl::OkStatus());
    });
  }
};

class Fail : public Handler {
  using Handler::Handler;
  void Handle(SharedBytes message) override {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(message.view(), absl::MaxSplits(' ', 1));
    int code = 0;
    if (!absl::SimpleAtoi(parts.first, &code)) code = 13;
    call_->Finish(absl::Status(static_cast<absl::StatusCode>(code), parts.second));
  }
};

class ShowMetadata : public Handler {
  using Handler::Handler;
  void Handle(SharedBytes) override {
    std::string text;
    call_->metadata().ForEach([&text](absl::string_view name, absl::string_view value) {
      absl::StrAppend(&text, name, "=", value, "\n");
    });
    const Peer& peer = call_->peer();
    absl::StrAppend(&text, "peer=", peer.address, " tls=", peer.tls, " cn=", peer.common_name);
    Answer(ByteChain(std::move(text)));
  }
};

class Hang : public Handler {
  using Handler::Handler;
  void Handle(SharedBytes) override {}
};

class Limited : public Handler {
  using Handler::Handler;
  void Handle(SharedBytes message) override {
    const absl::Duration now = counters_->clock.Monotonic();
    call_->SetTimeLimit(now);  // the last one counts
    call_->SetTimeLimit(now + absl::Milliseconds(NumberIn(message)));
  }
  void OnTimeLimit() override { Answer(ByteChain(std::string("late"))); }
};

class Sized : public Handler {
  using Handler::Handler;
  void Handle(SharedBytes message) override { Answer(ChainOf(NumberIn(message))); }
};

class Flood : public Handler {
  using Handler::Handler;
  void Handle(SharedBytes message) override {
    left_ = NumberIn(message);
    Fill();
  }
  void OnDrained() override { Fill(); }
  void Fill() {
    for (; left_ > 0 && call_->unsent_bytes() < (1 << 20); --left_) {
      call_->Send(ChainOf(kRunBytes));
      NoteUnsent();
    }
    if (left_ == 0 && !std::exchange(finished_, true)) call_->Finish(absl::OkStatus());
  }
  int64_t left_ = 0;
  bool finished_ = false;
};

class Bidi : public Handler {
 protected:
  using Handler::Handler;
  void Handle(SharedBytes message) override {
    ByteChain chain;
    chain.Append(std::move(message));
    call_->Send(std::move(chain));
  }
  void OnHalfClose() override { call_->Finish(absl::OkStatus()); }
};

// Says behind each echo that the connection took it.
class Taken : public Bidi {
  using Bidi::Bidi;
  void Handle(SharedBytes message) override {
    Bidi::Handle(std::move(message));
    call_->NotifyWhenTaken();
  }
  void OnDrained() override {
    call_->Send(ByteChain(absl::StrCat("unsent ", call_->unsent_bytes())));
  }
};

class Pour : public Handler {
  using Handler::Handler;
  void Handle(SharedBytes message) override {
    call_->Send(ChainOf(NumberIn(message)));
    NoteUnsent();
  }
  void OnHalfClose() override { call_->Finish(absl::OkStatus()); }
};

template <typename T>
Method Make(absl::string_view name, CallKind kind, std::shared_ptr<EchoCounters> counters) {
  return {absl::StrCat("/test.Echo/", name), kind, [counters](ServerCallPtr call) {
            return std::make_unique<T>(std::move(call), counters);
          }};
}

}  // namespace

std::vector<Method> EchoMethods(std::shared_ptr<EchoCounters> counters) {
  std::vector<Method> methods = {Make<Unary>("Unary", CallKind::kUnary, counters),
                                 Make<Threaded>("Threaded", CallKind::kUnary, counters),
                                 Make<Fail>("Fail", CallKind::kUnary, counters),
                                 Make<ShowMetadata>("Metadata", CallKind::kUnary, counters),
                                 Make<Hang>("Hang", CallKind::kUnary, counters),
                                 Make<Limited>("Limited", CallKind::kUnary, counters),
                                 Make<Sized>("Sized", CallKind::kUnary, counters),
                                 Make<Flood>("Flood", CallKind::kServerStream, counters),
                                 Make<Bidi>("Bidi", CallKind::kBidiStream, counters),
                                 Make<Bidi>("Lasting", CallKind::kBidiStream, counters),
                                 Make<Pour>("LastingPour", CallKind::kBidiStream, counters),
                                 Make<Taken>("Taken", CallKind::kBidiStream, counters),
                                 Make<Pour>("Pour", CallKind::kBidiStream, counters)};
  for (Method& method : methods) {
    method.essential = absl::EndsWith(method.path, "/Metadata");
    method.lasting = absl::StrContains(method.path, "/Lasting");
  }
  return methods;
}

}  // namespace tidemark::server
