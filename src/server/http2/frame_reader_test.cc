#include "src/server/http2/frame_reader.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "src/server/http2/frame_for_test.h"

namespace tidemark::server::http2 {
namespace {

constexpr size_t kMaxBlockBytes = 40000;

// What is told, as text.
class Recorder final : public FrameReader::Sink {
 public:
  ErrorCode OnDataBegin(const FrameHead& head) override {
    absl::StrAppend(&told_, "data ", head.stream_id, " ", head.payload_bytes, ":");
    return ErrorCode::kNone;
  }
  void OnDataPiece(const FrameHead&, absl::string_view bytes) override {
    absl::StrAppend(&told_, bytes);
  }
  void OnDataPadding(const FrameHead&, size_t byte_count) override { padding_bytes_ += byte_count; }
  void OnDataEnd(const FrameHead& head) override {
    absl::StrAppend(&told_, head.Has(kEndStream) ? " end" : "", "; ");
  }
  ErrorCode OnHeaderBlock(const FrameHead& head, absl::string_view block) override {
    absl::StrAppend(&told_, "headers ", head.stream_id, ":", block,
                    head.Has(kEndStream) ? " end" : "", "; ");
    return ErrorCode::kNone;
  }
  ErrorCode OnFrame(const FrameHead& head, absl::string_view payload) override {
    absl::StrAppend(&told_, "frame ", static_cast<int>(head.type), " ", head.stream_id, ":",
                    payload.size(), "; ");
    return ErrorCode::kNone;
  }

  std::string told_;
  size_t padding_bytes_ = 0;
};

std::string Begin() {
  return absl::StrCat(kClientPreface, FrameOf(FrameType::kSettings, 0, 0, ""));
}

struct Outcome {
  ErrorCode error = ErrorCode::kNone;
  std::string told;
  size_t padding_bytes = 0;
};

// In pieces of random sizes, or in one.
Outcome Read(absl::string_view bytes, std::mt19937* random = nullptr) {
  FrameReader reader(kMaxBlockBytes);
  Recorder recorder;
  Outcome outcome;
  while (!bytes.empty() && outcome.error == ErrorCode::kNone) {
    const size_t n = random == nullptr ? bytes.size() : 1 + (*random)() % bytes.size() % 37;
    // A copy, so that a view that outlives its piece is seen by the address sanitizer.
    outcome.error = reader.Read(std::string(bytes.substr(0, n)), recorder);
    bytes.remove_prefix(n);
  }
  outcome.told = recorder.told_;
  outcome.padding_bytes = recorder.padding_bytes_;
  return outcome;
}

TEST(FrameReaderTest, TellsTheSameHoweverItIsCut) {
  const std::string bytes = absl::StrCat(
      Begin(), FrameOf(FrameType::kHeaders, kEndHeaders, 1, "whole"),
      FrameOf(FrameType::kData, 0, 1, "some bytes"),
      FrameOf(FrameType::kData, kPadded, 1, absl::string_view("\3more\0\0\0", 8)),
      FrameOf(FrameType::kHeaders, kPadded | kPriority, 3, absl::string_view("\2prioABC\0\0", 10)),
      FrameOf(FrameType::kContinuation, 0, 3, ""), FrameOf(FrameType::kContinuation, 0, 3, "DEF"),
      FrameOf(FrameType::kContinuation, kEndHeaders, 3, "G"),
      FrameOf(FrameType::kPing, 0, 0, "12345678"), FrameOf(FrameType::kData, kEndStream, 1, ""),
      FrameOf(static_cast<FrameType>(77), 0, 0, "what"),
      FrameOf(FrameType::kData, kPadded | kEndStream, 3, absl::string_view("\0", 1)));
  const Outcome whole = Read(bytes);
  EXPECT_EQ(whole.error, ErrorCode::kNone);
  EXPECT_EQ(whole.told,
            "frame 4 0:0; headers 1:whole; data 1 10:some bytes; data 1 8:more; headers 3:BCDEFG; "
            "frame 6 0:8; data 1 0: end; frame 77 0:4; data 3 1: end; ");
  EXPECT_EQ(whole.padding_bytes, 5u);  // with the lengths
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    const Outcome cut = Read(bytes, &random);
    EXPECT_EQ(cut.error, ErrorCode::kNone);
    EXPECT_EQ(cut.told, whole.told);
    EXPECT_EQ(cut.padding_bytes, whole.padding_bytes);
  }
}

TEST(FrameReaderTest, RefusesWhatTheRfcForbids) {
  const struct {
    const char* name;
    std::string bytes;
    ErrorCode error;
  } cases[] = {
      {"another preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", ErrorCode::kProtocolError},
      {"no SETTINGS first",
       absl::StrCat(kClientPreface, FrameOf(FrameType::kPing, 0, 0, "12345678")),
       ErrorCode::kProtocolError},
      {"their acknowledgement first",
       absl::StrCat(kClientPreface, FrameOf(FrameType::kSettings, kAck, 0, "")),
       ErrorCode::kProtocolError},
      {"a frame too long",
       Begin() + FrameOf(FrameType::kData, 0, 1, std::string(kLeastMaxFrameBytes + 1, 'x')),
       ErrorCode::kFrameSizeError},
      {"DATA within a block",
       Begin() + FrameOf(FrameType::kHeaders, 0, 1, "x") + FrameOf(FrameType::kData, 0, 1, ""),
       ErrorCode::kProtocolError},
      {"an unknown frame within a block",
       Begin() + FrameOf(FrameType::kHeaders, 0, 1, "x") +
           FrameOf(static_cast<FrameType>(99), 0, 1, ""),
       ErrorCode::kProtocolError},
      {"another stream's CONTINUATION",
       Begin() + FrameOf(FrameType::kHeaders, 0, 1, "x") +
           FrameOf(FrameType::kContinuation, 4, 3, ""),
       ErrorCode::kProtocolError},
      {"CONTINUATION of nothing", Begin() + FrameOf(FrameType::kContinuation, kEndHeaders, 1, ""),
       ErrorCode::kProtocolError},
      {"CONTINUATION of a whole block",
       Begin() + FrameOf(FrameType::kHeaders, kEndHeaders, 1, "x") +
           FrameOf(FrameType::kContinuation, kEndHeaders, 1, ""),
       ErrorCode::kProtocolError},
      {"more padding than DATA", Begin() + FrameOf(FrameType::kData, kPadded, 1, "\3ab"),
       ErrorCode::kProtocolError},
      {"DATA padded without a length", Begin() + FrameOf(FrameType::kData, kPadded, 1, ""),
       ErrorCode::kFrameSizeError},
      {"more padding than HEADERS", Begin() + FrameOf(FrameType::kHeaders, kPadded | 4, 1, "\3ab"),
       ErrorCode::kProtocolError},
      {"HEADERS without their priority",
       Begin() + FrameOf(FrameType::kHeaders, kPriority | kEndHeaders, 1, "1234"),
       ErrorCode::kFrameSizeError},
  };
  for (const auto& c : cases) EXPECT_EQ(Read(c.bytes).error, c.error) << c.name;
}

// However long a row of CONTINUATION goes on, what it may hold is bounded.
TEST(FrameReaderTest, BlocksAreBounded) {
  std::string many = Begin() + FrameOf(FrameType::kHeaders, 0, 1, "");
  for (int i = 0; i <= FrameReader::kMaxContinuations; ++i) {
    many += FrameOf(FrameType::kContinuation, 0, 1, "");
  }
  EXPECT_EQ(Read(many).error, ErrorCode::kEnhanceYourCalm);
  std::string large = Begin() + FrameOf(FrameType::kHeaders, 0, 1, "");
  for (size_t bytes = 0; bytes <= kMaxBlockBytes; bytes += 10000) {
    large += FrameOf(FrameType::kContinuation, 0, 1, std::string(10000, 'x'));
  }
  EXPECT_EQ(Read(large).error, ErrorCode::kEnhanceYourCalm);
}

TEST(FrameTest, HeadsAreWhatTheyWere) {
  std::mt19937 random(3);
  for (int i = 0; i < 1000; ++i) {
    const FrameHead head{static_cast<uint32_t>(random()) % (kMostMaxFrameBytes + 1),
                         static_cast<FrameType>(random() % 256), static_cast<uint8_t>(random()),
                         static_cast<uint32_t>(random()) & kMaxStreamId};
    const auto bytes = FrameHeadBytes(head);
    const FrameHead read = ReadFrameHead(absl::string_view(bytes.data(), bytes.size()));
    EXPECT_EQ(read.payload_bytes, head.payload_bytes);
    EXPECT_EQ(read.type, head.type);
    EXPECT_EQ(read.flags, head.flags);
    EXPECT_EQ(read.stream_id, head.stream_id);
  }
}

}  // namespace
}  // namespace tidemark::server::http2
