// A session whose streams echo what they are sent, and which says what happened to them.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/server/http2/frame_for_test.h"
#include "src/server/http2/session.h"

namespace tidemark::server::http2 {

constexpr Header kResponseHeaders[] = {{":status", "200", true}, {"content-type", "x", true}};
constexpr Header kResponseTrailers[] = {{"end", "yes", true}};

// Answers with what it got once the request has ended, by trailers.
class EchoStream final : public Stream {
 public:
  EchoStream(Session& session, uint32_t id, std::string& log)
      : session_(session), id_(id), log_(log) {}

  void OnData(absl::string_view bytes) override {
    text_.append(bytes.data(), bytes.size());
    if (!holds_input_) return session_.Consume(id_, bytes.size());
    held_bytes_ += bytes.size();
  }
  void OnInputEnd() override {
    absl::StrAppend(&log_, id_, " ended; ");
    if (!answers_) return;
    Begin();
    Finish();
  }
  void OnClosed(ErrorCode code) override {
    absl::StrAppend(&log_, id_, " closed ", static_cast<uint32_t>(code), "; ");
    if (held_bytes_ > 0) session_.ConsumeForConnection(held_bytes_);
  }
  Ready PeekOutput(size_t max_bytes) override {
    ++peeks_;
    const size_t n = std::min(max_bytes, text_.size() - sent_bytes_);
    return {n, finished_ && n == text_.size() - sent_bytes_};
  }
  void TakeOutput(size_t byte_count, OutputQueue& queue) override {
    queue.AppendCopy(absl::string_view(text_).substr(sent_bytes_, byte_count));
    sent_bytes_ += byte_count;
  }
  bool SubmitTrailers() override {
    if (has_trailers_) session_.Trailers(id_, kResponseTrailers);
    return has_trailers_;
  }

  void Begin() { session_.Respond(id_, kResponseHeaders, true); }
  void Send(absl::string_view text) {
    text_.append(text.data(), text.size());
    session_.ResumeOutput(id_);
  }
  void Finish() {
    finished_ = true;
    session_.ResumeOutput(id_);
  }

  bool answers_ = true;  // by itself
  bool has_trailers_ = true;
  bool holds_input_ = false;  // for ever
  int peeks_ = 0;

 private:
  Session& session_;
  const uint32_t id_;
  std::string& log_;
  std::string text_;
  size_t held_bytes_ = 0;
  size_t sent_bytes_ = 0;
  bool finished_ = false;
};

class SessionHarness : private Session::Owner {
 public:
  explicit SessionHarness(const SessionOptions& options = {}) : session_(options, *this) {}

  // Told to the session at once.
  bool Receive(absl::string_view bytes) { return session_.Receive(bytes); }
  bool Begin(absl::string_view settings = "") {
    return Receive(absl::StrCat(kClientPreface, FrameOf(FrameType::kSettings, 0, 0, settings)));
  }
  bool Request(uint32_t stream_id, uint8_t flags = kEndHeaders | kEndStream) {
    return Receive(FrameOf(FrameType::kHeaders, flags, stream_id, "\x83\x86\x84"));
  }
  // Everything that can be sent, or as much as fits.
  std::string Output(size_t max_bytes = SIZE_MAX) {
    OutputQueue queue;
    session_.Fill(queue, max_bytes);
    std::string bytes(queue.size_bytes(), '\0');
    queue.CopyFront(bytes.data(), bytes.size());
    return bytes;
  }
  // The same as text: "type/flags@stream:bytes ...", without what says how the session begins.
  std::string OutputFrames(size_t max_bytes = SIZE_MAX) {
    std::string text;
    const std::string output = Output(max_bytes);
    for (absl::string_view rest = output; !rest.empty();) {
      const FrameHead head = ReadFrameHead(rest);
      absl::StrAppend(&text, static_cast<int>(head.type), "/", head.flags, "@", head.stream_id);
      const bool has_number =
          head.type == FrameType::kReset || head.type == FrameType::kWindowUpdate;
      const absl::string_view payload = rest.substr(kFrameHeadBytes, head.payload_bytes);
      if (has_number) absl::StrAppend(&text, "=", ReadUint32(payload));
      if (head.type == FrameType::kData) absl::StrAppend(&text, ":", payload.size());
      if (head.type == FrameType::kGoaway) {
        absl::StrAppend(&text, "=", ReadUint32(payload), ",", ReadUint32(payload.substr(4)));
      }
      absl::StrAppend(&text, " ");
      rest.remove_prefix(kFrameHeadBytes + payload.size());
    }
    return text;
  }
  EchoStream& stream(uint32_t id) { return *kept_.at(id); }
  std::string TakeLog() { return std::exchange(log_, {}); }

  Session session_;
  bool answers_ = true;  // of streams to come
  bool has_trailers_ = true;
  bool holds_input_ = false;
  bool is_good_ = true;
  std::optional<uint64_t> declared_bytes_;
  bool refuses_ = false;  // with nobody to answer
  bool allows_ = true;
  int ping_answers_ = 0;

 private:
  void OnBlockBegin(Block) override {}
  bool OnHeader(absl::string_view, absl::string_view, HeaderNote&) override { return true; }
  bool IsGoodBlock() override { return is_good_; }
  std::optional<uint64_t> DeclaredBodyBytes() override { return declared_bytes_; }
  std::shared_ptr<Stream> OnRequest(uint32_t stream_id) override {
    absl::StrAppend(&log_, stream_id, " asks; ");
    if (refuses_) {
      session_.Respond(stream_id, kResponseHeaders, false);
      return nullptr;
    }
    auto stream = std::make_shared<EchoStream>(session_, stream_id, log_);
    stream->answers_ = answers_;
    stream->has_trailers_ = has_trailers_;
    stream->holds_input_ = holds_input_;
    kept_[stream_id] = stream;
    return stream;
  }
  bool OnReset() override { return allows_; }
  bool OnSettings() override { return allows_; }
  bool OnPing() override { return allows_; }
  void OnPingAnswer() override { ++ping_answers_; }

  std::map<uint32_t, std::shared_ptr<EchoStream>> kept_;
  std::string log_;
};

}  // namespace tidemark::server::http2
