// A connection of the client port, HTTP/2 with gRPC or HTTP/1, that is sent any bytes in any
// pieces.
//
// The server's side is production's, on a socket pair; loop, client and time are this thread's.
// Whatever comes: the connection ends, every handler has had its OnDone, the loop never blocks.
// Input: switches, number of pieces, then the client's bytes.
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "src/base/clock.h"
#include "src/server/transport/loop_connections.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::server {
namespace {

constexpr char kFrameTypeSettings = 4;
constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

class ManualClock final : public Clock {
 public:
  absl::Duration Monotonic() const override { return now_; }
  absl::Time Wall() const override { return absl::UnixEpoch() + now_; }
  void Advance(absl::Duration by) { now_ += by; }

 private:
  absl::Duration now_ = absl::Seconds(1000);
};

struct Counters {
  int open_calls = 0;
  std::vector<std::function<void(HttpResponse)>> waiting;  // HTTP answers still to be given
};

// Echo: each message comes back; Stream: many; Fail: the code in the first byte; Hang: nothing.
enum class Answer { kEcho, kStream, kFail, kHang };

class Handler final : public CallHandler {
 public:
  Handler(ServerCallPtr call, Answer answer, bool is_unary, Counters* counters)
      : call_(std::move(call)), answer_(answer), is_unary_(is_unary), counters_(counters) {
    ++counters_->open_calls;
  }
  ~Handler() override { CHECK(is_done_); }

  void OnMessage(absl::string_view message) override {
    CHECK(!is_done_);
    (void)call_->metadata().Find("x");
    switch (answer_) {
      case Answer::kEcho:
        call_->Send(ByteChain(std::string(message)));
        if (is_unary_) call_->Finish(absl::OkStatus());
        return;
      case Answer::kStream:
        left_ = message.empty() ? 1 : static_cast<uint8_t>(message[0]);
        return Stream();
      case Answer::kFail:
        return call_->Finish(absl::Status(
            static_cast<absl::StatusCode>(message.empty() ? 2 : message[0] & 15),
            message));
      case Answer::kHang:
        return;
    }
  }
  void OnHalfClose() override {
    CHECK(!is_done_);
    if (!is_unary_ && answer_ != Answer::kHang) call_->Finish(absl::OkStatus());
  }
  void OnDrained() override {
    if (answer_ == Answer::kStream) Stream();
  }
  void OnDone() override {
    CHECK(!std::exchange(is_done_, true));
    --counters_->open_calls;
  }

 private:
  void Stream() {
    constexpr size_t kRoomBytes = 20000;
    for (; left_ > 0 && call_->unsent_bytes() < kRoomBytes; --left_) {
      call_->Send(ByteChain(std::string(4000, 's')));
    }
    if (left_ == 0) call_->Finish(absl::OkStatus());
  }

  const ServerCallPtr call_;
  const Answer answer_;
  const bool is_unary_;
  Counters* const counters_;
  int left_ = 0;
  bool is_done_ = false;
};

std::vector<Method> Methods(Counters* counters) {
  auto method = [counters](const char* path, CallKind kind, Answer answer) {
    return Method{path, kind, [=](ServerCallPtr call) {
                    return std::make_unique<Handler>(std::move(call), answer,
                                                     kind == CallKind::kUnary, counters);
                  }};
  };
  return {method("/t.T/Unary", CallKind::kUnary, Answer::kEcho),
          method("/t.T/Fail", CallKind::kUnary, Answer::kFail),
          method("/t.T/Hang", CallKind::kUnary, Answer::kHang),
          method("/t.T/Stream", CallKind::kServerStream, Answer::kStream),
          method("/t.T/Bidi", CallKind::kBidiStream, Answer::kEcho)};
}

class Session {
 public:
  Session(uint8_t switches, size_t pieces, absl::string_view bytes)
      : reads_slowly_((switches & 1) != 0),
        half_closes_((switches & 2) != 0),
        unread_input_(bytes),
        piece_bytes_(bytes.size() / pieces + 1),
        is_http2_(absl::StartsWith(bytes, kPreface)),
        loop_(clock_, "fuzz"),
        connections_(context_, loop_, [this] { loop_.Stop(); }) {
    traits_.serves_http = (switches & 4) == 0;
    traits_.serves_grpc = (switches & 8) == 0;
    context_.options.max_receive_message_bytes = 5000;
    context_.options.max_metadata_bytes = 4096;
    context_.options.max_http_body_bytes = 4000;
    context_.options.max_assembling_bytes = 20000;
    context_.options.unsent_low_bytes = 2000;
    context_.options.unsent_high_bytes = 8000;
    context_.options.connection_unsent_high_bytes = 64000;
    context_.options.output_queue_bytes = 16000;
    if ((switches & 16) != 0) context_.options.max_concurrent_streams = 2;
    context_.methods = Methods(&counters_);
    for (const Method& method : context_.methods) {
      context_.method_by_path.emplace(method.path, &method);
    }
    context_.services.insert("t.T");
    context_.http_handler = [this](HttpRequest request, std::function<void(HttpResponse)> respond) {
      if (request.path == "/later") return counters_.waiting.push_back(std::move(respond));
      respond(HttpResponse{200, {{"Content-Type", "text/plain"}}, request.body + request.query});
    };
  }

  void Run() {
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    client_fd_ = fds[0];
    context_.open_connections = 1;
    loop_.Post([this, fd = fds[1]] {
      connections_.Adopt(traits_, {std::make_unique<Socket>(fd), "fuzz", {}});
      Step();
    });
    loop_.RunOnThisThread();
    CHECK(context_.open_connections.load() == 0);
    CHECK(counters_.open_calls == 0);
    if (!output_.empty()) {
      if (is_http2_ && traits_.serves_grpc) {
        CHECK(output_.size() < 4 || output_[3] == kFrameTypeSettings);
      } else {
        CHECK(absl::StartsWith("HTTP/1.1 ", absl::string_view(output_).substr(0, 9)));
      }
    }
  }

 private:
  // One step per turn of the loop.
  void Step() {
    ++step_;
    if (!reads_slowly_ || step_ % 8 == 0) ReadOutput();
    if (!unread_input_.empty()) {
      WriteInput();
    } else if (half_closes_) {
      shutdown(client_fd_, SHUT_WR);
      half_closes_ = false;
    } else if (++rest_steps_ == 4) {
      for (auto& respond : std::exchange(counters_.waiting, {})) respond(HttpResponse{});
    } else if (rest_steps_ >= 8 && rest_steps_ < 11) {
      clock_.Advance(absl::Hours(1));  // deadlines, pings, idle times
    } else if (rest_steps_ == 14) {
      return End();
    }
    loop_.Post([this] { Step(); });
  }

  void WriteInput() {
    const absl::string_view piece = unread_input_.substr(0, piece_bytes_);
    const ssize_t written = write(client_fd_, piece.data(), piece.size());
    if (written > 0) {
      unread_input_.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EAGAIN || ++stuck_steps_ > 64) {
      unread_input_ = {};  // the server closed, or waits for us to read more than we do
    }
  }

  void ReadOutput() {
    char buffer[4096];
    ssize_t size = 0;
    while ((size = read(client_fd_, buffer, sizeof(buffer))) > 0) {
      if (output_.size() < 16) output_.append(buffer, static_cast<size_t>(size));
    }
  }

  void End() {
    close(client_fd_);
    connections_.BeginShutdown(clock_.Monotonic());
  }

  const bool reads_slowly_;
  bool half_closes_;
  absl::string_view unread_input_;
  const size_t piece_bytes_;
  const bool is_http2_;
  ManualClock clock_;
  Counters counters_;
  TransportContext context_;
  ListenerTraits traits_;
  EventLoop loop_;
  LoopConnections connections_;
  int client_fd_ = -1;
  int step_ = 0;
  int rest_steps_ = 0;
  int stuck_steps_ = 0;
  std::string output_;  // its beginning
};

}  // namespace

FUZZ_TARGET(client_port) {
  std::signal(SIGPIPE, SIG_IGN);
  fuzz::Input in(input);
  const uint8_t switches = in.Byte();
  const size_t pieces = 1 + in.Below(64);
  Session(switches, pieces, in.rest()).Run();
}

}  // namespace tidemark::server
