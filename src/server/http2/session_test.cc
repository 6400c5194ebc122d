#include "src/server/http2/session.h"

#include <string>

#include "gtest/gtest.h"
#include "src/server/http2/session_harness_for_test.h"

namespace tidemark::server::http2 {
namespace {

// Frames as SessionHarness::OutputFrames prints them.
constexpr char kBegins[] = "4/0@0 8/0@0=16711681 4/1@0 ";

std::string SettingOf(Setting setting, uint32_t value) {
  std::string payload;
  AppendSetting(payload, setting, value);
  return payload;
}
std::string WindowUpdate(uint32_t stream_id, uint32_t byte_count) {
  std::string out;
  AppendWindowUpdate(out, stream_id, byte_count);
  return out;
}
std::string ResetOf(uint32_t stream_id) {
  std::string out;
  AppendReset(out, stream_id, ErrorCode::kCancel);
  return out;
}

class SessionTest : public ::testing::Test {
 protected:
  void Begin(absl::string_view settings = "") {
    ASSERT_TRUE(harness_.Begin(settings));
    EXPECT_EQ(harness_.OutputFrames(), kBegins);
  }
  // It must fail, by this code, and say so.
  void ExpectFailure(ErrorCode code) {
    EXPECT_TRUE(harness_.session_.has_failed());
    EXPECT_TRUE(harness_.session_.IsOver());
    EXPECT_FALSE(harness_.Receive("more"));
    const std::string frames = harness_.OutputFrames();
    const std::string expected = absl::StrCat(",", static_cast<uint32_t>(code), " ");
    EXPECT_NE(frames.find("7/0@0="), std::string::npos) << frames;
    EXPECT_NE(frames.find(expected), std::string::npos) << frames;
  }

  SessionHarness harness_;
};

TEST_F(SessionTest, AnswersARequest) {
  Begin();
  harness_.Request(1, kEndHeaders);
  harness_.Receive(FrameOf(FrameType::kData, kEndStream, 1, "hello"));
  EXPECT_EQ(harness_.TakeLog(), "1 asks; 1 ended; ");
  EXPECT_EQ(harness_.OutputFrames(), "1/4@1 0/0@1:5 1/5@1 ");
  EXPECT_EQ(harness_.TakeLog(), "1 closed 0; ");
  EXPECT_EQ(harness_.session_.stream_count(), 0u);
}

TEST_F(SessionTest, ABodyMayEndWithoutTrailersAndBeEmpty) {
  Begin();
  harness_.has_trailers_ = false;
  harness_.Request(1);
  EXPECT_EQ(harness_.OutputFrames(), "1/4@1 0/1@1:0 ");
  harness_.has_trailers_ = true;
  harness_.Request(3);
  EXPECT_EQ(harness_.OutputFrames(), "1/4@3 1/5@3 ");
}

TEST_F(SessionTest, ABodyIsAsLongAsItsRequestSays) {
  Begin();
  harness_.declared_bytes_ = 5;
  harness_.Request(1, kEndHeaders);
  harness_.Receive(FrameOf(FrameType::kData, 0, 1, "hel"));
  harness_.Receive(FrameOf(FrameType::kData, kEndStream, 1, "lo"));
  EXPECT_EQ(harness_.TakeLog(), "1 asks; 1 ended; ");
  EXPECT_EQ(harness_.OutputFrames(), "1/4@1 0/0@1:5 1/5@1 ");
  harness_.TakeLog();
  // Too long, whatever follows; too short; too short, by trailers; none at all.
  harness_.Request(3, kEndHeaders);
  harness_.Receive(FrameOf(FrameType::kData, 0, 3, "hello!"));
  harness_.Receive(FrameOf(FrameType::kData, kEndStream, 3, "more"));
  harness_.Request(5, kEndHeaders);
  harness_.Receive(FrameOf(FrameType::kData, kEndStream, 5, "hell"));
  harness_.Request(7, kEndHeaders);
  harness_.Receive(FrameOf(FrameType::kData, 0, 7, "hell"));
  harness_.Request(7);
  harness_.Request(9);
  EXPECT_EQ(harness_.OutputFrames(), "3/0@3=1 3/0@5=1 3/0@7=1 3/0@9=1 ");
  EXPECT_EQ(harness_.TakeLog(),
            "3 asks; 5 asks; 7 asks; 9 asks; 3 closed 1; 5 closed 1; 7 closed 1; 9 closed 1; ");
  harness_.declared_bytes_ = 0;
  harness_.Request(11);
  EXPECT_EQ(harness_.OutputFrames(), "1/4@11 1/5@11 ");
}

TEST_F(SessionTest, WhoIsAnsweredBeforeHeHasSentAllMayStop) {
  Begin();
  harness_.refuses_ = true;
  harness_.Request(1, kEndHeaders);
  EXPECT_EQ(harness_.OutputFrames(), "1/5@1 3/0@1=0 ");
  // What was on its way is taken for nothing, and given back.
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(harness_.Receive(FrameOf(FrameType::kData, 0, 1, std::string(16384, 'x'))));
  }
  EXPECT_TRUE(harness_.Request(1));  // trailers
  harness_.Request(3);
  EXPECT_EQ(harness_.OutputFrames(), "8/0@0=8388608 8/0@0=8388608 8/0@0=8388608 1/5@3 ");
}

TEST_F(SessionTest, OutputKeepsToBothWindows) {
  Begin(SettingOf(Setting::kInitialWindowSize, 100));
  harness_.answers_ = false;
  for (const uint32_t id : {1, 3}) {
    harness_.Request(id);
    harness_.stream(id).Begin();
    harness_.stream(id).Send(std::string(70000, 'x'));
  }
  EXPECT_EQ(harness_.OutputFrames(), "1/4@1 1/4@3 0/0@1:100 0/0@3:100 ");
  EXPECT_EQ(harness_.OutputFrames(), "");
  harness_.Receive(WindowUpdate(3, 50));
  EXPECT_EQ(harness_.OutputFrames(), "0/0@3:50 ");
  // The connection's window ends first: 65535 - 250.
  harness_.Receive(WindowUpdate(1, 100000));
  EXPECT_EQ(harness_.OutputFrames(), "0/0@1:16384 0/0@1:16384 0/0@1:16384 0/0@1:16133 ");
  harness_.Receive(WindowUpdate(3, 100000));
  EXPECT_EQ(harness_.OutputFrames(), "");
  harness_.Receive(WindowUpdate(0, 30));
  EXPECT_EQ(harness_.OutputFrames(), "0/0@1:30 ");
  harness_.Receive(WindowUpdate(0, 1 << 20));
  EXPECT_EQ(harness_.OutputFrames(),
            "0/0@3:16384 0/0@1:4585 0/0@3:16384 0/0@3:16384 0/0@3:16384 0/0@3:4314 ");
}

TEST_F(SessionTest, TrailersNeedNoWindow) {
  Begin(SettingOf(Setting::kInitialWindowSize, 5));
  harness_.answers_ = false;
  harness_.Request(1);
  harness_.stream(1).Begin();
  harness_.stream(1).Send("hello");
  EXPECT_EQ(harness_.OutputFrames(), "1/4@1 0/0@1:5 ");
  harness_.stream(1).Finish();
  EXPECT_EQ(harness_.OutputFrames(), "1/5@1 ");
}

TEST_F(SessionTest, AWindowMayShrinkBelowZero) {
  Begin(SettingOf(Setting::kInitialWindowSize, 100));
  harness_.answers_ = false;
  harness_.Request(1);
  harness_.stream(1).Begin();
  harness_.stream(1).Send(std::string(80, 'x'));
  EXPECT_EQ(harness_.OutputFrames(), "1/4@1 0/0@1:80 ");
  harness_.Receive(FrameOf(FrameType::kSettings, 0, 0, SettingOf(Setting::kInitialWindowSize, 50)));
  harness_.stream(1).Send("more");
  EXPECT_EQ(harness_.OutputFrames(), "4/1@0 ");
  harness_.Receive(WindowUpdate(1, 30));
  EXPECT_EQ(harness_.OutputFrames(), "");  // 50 - 80 + 30
  harness_.Receive(FrameOf(FrameType::kSettings, 0, 0, SettingOf(Setting::kInitialWindowSize, 53)));
  EXPECT_EQ(harness_.OutputFrames(), "4/1@0 0/0@1:3 ");
}

TEST_F(SessionTest, FramesAreAsLargeAsTheClientTakes) {
  Begin(SettingOf(Setting::kMaxFrameSize, 20000) + SettingOf(Setting::kInitialWindowSize, 1 << 20));
  harness_.answers_ = false;
  harness_.Request(1);
  harness_.stream(1).Begin();
  harness_.stream(1).Send(std::string(30000, 'x'));
  EXPECT_EQ(harness_.OutputFrames(), "1/4@1 0/0@1:20000 0/0@1:10000 ");
}

TEST_F(SessionTest, EveryStreamHasItsTurn) {
  Begin();
  harness_.answers_ = false;
  for (const uint32_t id : {1, 3, 5}) {
    harness_.Request(id);
    harness_.stream(id).Begin();
  }
  harness_.stream(1).Send(std::string(40000, 'x'));
  harness_.stream(5).Send("short");
  harness_.stream(5).Finish();
  EXPECT_EQ(harness_.OutputFrames(),
            "1/4@1 1/4@3 1/4@5 0/0@1:16384 0/0@5:5 1/5@5 0/0@1:16384 0/0@1:7232 ");
}

TEST_F(SessionTest, WhatDoesNotFitWaits) {
  Begin();
  harness_.Request(1);
  harness_.answers_ = false;
  harness_.Request(3);
  harness_.stream(3).Begin();
  harness_.stream(3).Send(std::string(40000, 'x'));
  constexpr size_t kTwoHeadsBytes = 24;
  EXPECT_EQ(harness_.OutputFrames(kTwoHeadsBytes), "1/4@1 1/4@3 ");
  EXPECT_EQ(harness_.OutputFrames(0), "");
  EXPECT_EQ(harness_.OutputFrames(kTwoHeadsBytes), "1/5@1 0/0@3:16384 ");
  EXPECT_EQ(harness_.OutputFrames(), "0/0@3:16384 0/0@3:7232 ");
}

TEST_F(SessionTest, InputIsGivenBackAsItIsConsumed) {
  Begin();
  harness_.answers_ = false;
  harness_.Request(1, kEndHeaders);
  harness_.holds_input_ = true;
  harness_.Request(3, kEndHeaders);
  const std::string piece(16384, 'x');
  for (int i = 0; i < 31; ++i) harness_.Receive(FrameOf(FrameType::kData, 0, 1, piece));
  EXPECT_EQ(harness_.OutputFrames(), "");
  harness_.Receive(FrameOf(FrameType::kData, 0, 1, piece));  // half of the window
  EXPECT_EQ(harness_.OutputFrames(), "8/0@1=524288 ");
  // Stream 3 keeps what it has, and that is no more than its window.
  for (int i = 0; i < 64; ++i) {
    ASSERT_TRUE(harness_.Receive(FrameOf(FrameType::kData, 0, 3, piece)));
  }
  EXPECT_EQ(harness_.OutputFrames(), "");
  harness_.Receive(FrameOf(FrameType::kData, 0, 3, "x"));
  EXPECT_EQ(harness_.OutputFrames(), "3/0@3=3 ");
  EXPECT_EQ(harness_.TakeLog(), "1 asks; 3 asks; 3 closed 3; ");
}

TEST_F(SessionTest, PaddingCountsAndIsGivenBack) {
  Begin();
  harness_.answers_ = false;
  harness_.Request(1, kEndHeaders);
  const std::string padded = std::string(1, '\xff') + std::string(255, '\0');
  for (int i = 0; i < 2048; ++i) harness_.Receive(FrameOf(FrameType::kData, kPadded, 1, padded));
  EXPECT_EQ(harness_.OutputFrames(), "8/0@1=524288 ");
}

TEST_F(SessionTest, TheConnectionsWindowIsALimit) {
  Begin();
  harness_.answers_ = false;
  harness_.holds_input_ = true;
  const std::string piece(16384, 'x');
  for (uint32_t id = 1; id <= 31; id += 2) {
    harness_.Request(id, kEndHeaders);
    for (int i = 0; i < 64; ++i) {
      ASSERT_TRUE(harness_.Receive(FrameOf(FrameType::kData, 0, id, piece)));
    }
  }
  harness_.Request(33, kEndHeaders);
  EXPECT_FALSE(harness_.Receive(FrameOf(FrameType::kData, 0, 33, "x")));
  ExpectFailure(ErrorCode::kFlowControlError);
}

TEST_F(SessionTest, OnlySoManyStreams) {
  SessionHarness harness({.max_concurrent_streams = 2});
  harness.answers_ = false;
  harness.Begin();
  harness.Output();
  for (const uint32_t id : {1, 3, 5}) harness.Request(id);
  EXPECT_EQ(harness.OutputFrames(), "3/0@5=7 ");
  harness.Receive(ResetOf(3));
  harness.Request(7);
  EXPECT_EQ(harness.OutputFrames(), "");
  EXPECT_EQ(harness.TakeLog(), "1 asks; 1 ended; 3 asks; 3 ended; 3 closed 8; 7 asks; 7 ended; ");
}

TEST_F(SessionTest, AResetEndsAStreamAtOnceForTheClientAndAtTheTurnsEndForUs) {
  Begin();
  harness_.answers_ = false;
  harness_.Request(1, kEndHeaders);
  harness_.stream(1).Begin();
  harness_.stream(1).Send("never sent");
  harness_.session_.Reset(1, ErrorCode::kCancel);
  harness_.session_.Reset(1, ErrorCode::kCancel);
  EXPECT_EQ(harness_.TakeLog(), "1 asks; ");
  harness_.Receive(FrameOf(FrameType::kData, kEndStream, 1, "late"));
  EXPECT_EQ(harness_.OutputFrames(), "1/4@1 3/0@1=8 ");
  EXPECT_EQ(harness_.TakeLog(), "1 closed 8; ");
  harness_.Receive(FrameOf(FrameType::kData, kEndStream, 1, "later"));
  harness_.Receive(WindowUpdate(1, 5));
  EXPECT_EQ(harness_.OutputFrames(), "");
}

TEST_F(SessionTest, AStreamThatOnlyHasToBeClosedCountsNoMore) {
  SessionHarness harness({.max_concurrent_streams = 1});
  harness.refuses_ = true;
  harness.Begin();
  harness.Output();
  harness.Request(1);
  harness.Request(3);
  EXPECT_EQ(harness.OutputFrames(), "1/5@1 1/5@3 ");
}

// Thousands are answered by their heads alone, before the client knows; what it sends meanwhile is
// nobody's fault.
TEST_F(SessionTest, WhatIsOnItsWayToStreamsOfLongAgoIsNoFault) {
  Begin();
  harness_.refuses_ = true;
  constexpr uint32_t kLastId = 2 * 2500 + 1;
  for (uint32_t id = 1; id <= kLastId; id += 2) harness_.Request(id, kEndHeaders);
  harness_.Output();
  for (uint32_t id = 1; id <= kLastId; id += 2) {
    ASSERT_TRUE(harness_.Receive(FrameOf(FrameType::kData, 0, id, "x"))) << id;
    ASSERT_TRUE(harness_.Request(id)) << id;  // trailers
  }
  EXPECT_EQ(harness_.OutputFrames(), "");
}

TEST_F(SessionTest, ASmallUpdateDoesNotLookAtAllWhoWait) {
  Begin();
  harness_.answers_ = false;
  for (uint32_t id = 1; id <= 199; id += 2) {
    harness_.Request(id);
    harness_.stream(id).Begin();
    harness_.stream(id).Send(std::string(1000, 'x'));
  }
  harness_.Output();  // the window is used up
  const auto peeks = [&] {
    int count = 0;
    for (uint32_t id = 1; id <= 199; id += 2) count += harness_.stream(id).peeks_;
    return count;
  };
  const int before = peeks();
  for (int i = 0; i < 50; ++i) {
    harness_.Receive(WindowUpdate(0, 1));
    harness_.Output();
  }
  EXPECT_LT(peeks() - before, 200);
}

// What is small to ask for may be large to refuse.
TEST_F(SessionTest, AnswersThatWaitDoNotPassTheQueuesBound) {
  Begin();
  harness_.refuses_ = true;
  for (uint32_t id = 1; id < 2000; id += 2) harness_.Request(id);
  std::string output;
  while (harness_.session_.waiting_bytes() > 0) {
    const std::string part = harness_.Output(100);
    ASSERT_GT(part.size(), 0u);
    ASSERT_LE(part.size(), 100u);
    EXPECT_GT(harness_.session_.held_bytes(), 0u);
    output += part;
  }
  SessionHarness other;
  other.Begin();
  other.Output();
  other.refuses_ = true;
  for (uint32_t id = 1; id < 2000; id += 2) other.Request(id);
  EXPECT_EQ(output, other.Output());
}

TEST_F(SessionTest, WhatWasSaidIsNotKept) {
  Begin();
  harness_.refuses_ = true;
  for (uint32_t id = 1; id < 20000; id += 2) harness_.Request(id);
  EXPECT_GT(harness_.session_.held_bytes(), 100u << 10);
  harness_.Output();
  EXPECT_LT(harness_.session_.held_bytes(), 1u << 10);
}

TEST_F(SessionTest, TheLastOfAFramesWindowsCounts) {
  Begin();
  harness_.answers_ = false;
  harness_.Request(1);
  harness_.stream(1).Begin();
  harness_.stream(1).Send(std::string(100, 'x'));
  harness_.Receive(FrameOf(FrameType::kSettings, 0, 0,
                           SettingOf(Setting::kInitialWindowSize, 1 << 20) +
                               SettingOf(Setting::kInitialWindowSize, 30)));
  EXPECT_EQ(harness_.OutputFrames(), "1/4@1 4/1@0 0/0@1:30 ");
}

TEST_F(SessionTest, NothingFollowsAFailure) {
  Begin();
  harness_.answers_ = false;
  harness_.Request(1);
  harness_.Receive(FrameOf(FrameType::kPushPromise, 4, 1, "1234"));
  harness_.session_.AnnounceGoaway();
  harness_.session_.Goaway();
  harness_.stream(1).Begin();
  EXPECT_EQ(harness_.OutputFrames(), "7/0@0=1,1 ");
  harness_.session_.CloseAll();
}

// RFC 9113, section 5.1.
TEST_F(SessionTest, FramesOfClosedStreams) {
  Begin();
  harness_.Request(1);
  harness_.Output();
  harness_.TakeLog();
  EXPECT_TRUE(harness_.Receive(WindowUpdate(1, 5) + ResetOf(1)));
  EXPECT_TRUE(harness_.Receive(FrameOf(FrameType::kPriority, 0, 1, "12345")));
  EXPECT_EQ(harness_.OutputFrames(), "");
  EXPECT_TRUE(harness_.Receive(FrameOf(FrameType::kData, 0, 1, "x")));
  EXPECT_EQ(harness_.OutputFrames(), "3/0@1=5 ");
  EXPECT_TRUE(harness_.Receive(FrameOf(FrameType::kData, 0, 1, "x")));
  EXPECT_EQ(harness_.OutputFrames(), "");  // once is enough
  harness_.Request(5);
  EXPECT_FALSE(harness_.Request(3));  // left out
  ExpectFailure(ErrorCode::kStreamClosed);
}

TEST_F(SessionTest, FramesAfterTheRequestsEnd) {
  Begin();
  harness_.answers_ = false;
  harness_.Request(1);
  harness_.Receive(FrameOf(FrameType::kData, 0, 1, "x"));
  EXPECT_EQ(harness_.OutputFrames(), "3/0@1=5 ");
  harness_.Request(3);
  harness_.Request(3);
  EXPECT_EQ(harness_.OutputFrames(), "3/0@3=5 ");
  harness_.Request(5, kEndHeaders);
  harness_.Request(5, kEndHeaders);  // trailers that end nothing
  EXPECT_EQ(harness_.OutputFrames(), "3/0@5=1 ");
  harness_.Request(7, kEndHeaders);
  harness_.TakeLog();
  harness_.Request(7);  // trailers
  EXPECT_EQ(harness_.TakeLog(), "7 ended; ");
}

TEST_F(SessionTest, BrokenHeadersEndTheStream) {
  Begin();
  harness_.is_good_ = false;
  harness_.Request(1, kEndHeaders);
  EXPECT_EQ(harness_.OutputFrames(), "3/0@1=1 ");
  EXPECT_EQ(harness_.TakeLog(), "");
  harness_.Receive(FrameOf(FrameType::kData, 0, 1, "x"));
  EXPECT_EQ(harness_.OutputFrames(), "");
}

TEST_F(SessionTest, WhoBreaksStreamAfterStreamHasToGo) {
  Begin();
  harness_.is_good_ = false;
  uint32_t id = 1;
  while (id < 10000 && harness_.Request(id)) id += 2;
  EXPECT_EQ(id, 2 * 1000 - 1u);
  ExpectFailure(ErrorCode::kEnhanceYourCalm);
}

TEST_F(SessionTest, WindowsMayNotOverflow) {
  Begin();
  harness_.answers_ = false;
  harness_.Request(1);
  harness_.Receive(WindowUpdate(1, INT32_MAX));
  EXPECT_EQ(harness_.OutputFrames(), "3/0@1=3 ");
  harness_.Request(3);
  harness_.Receive(FrameOf(FrameType::kWindowUpdate, 0, 3, std::string(4, '\0')));
  EXPECT_EQ(harness_.OutputFrames(), "3/0@3=1 ");
  EXPECT_FALSE(harness_.Receive(WindowUpdate(0, INT32_MAX)));
  ExpectFailure(ErrorCode::kFlowControlError);
}

TEST_F(SessionTest, SettingsThatMakeAWindowOverflow) {
  Begin();
  harness_.answers_ = false;
  harness_.Request(1);
  harness_.Receive(WindowUpdate(1, INT32_MAX - 65535));
  EXPECT_FALSE(harness_.Receive(
      FrameOf(FrameType::kSettings, 0, 0, SettingOf(Setting::kInitialWindowSize, 65536))));
  ExpectFailure(ErrorCode::kFlowControlError);
}

TEST_F(SessionTest, WhatEndsTheConnection) {
  const std::string four(4, '\0');
  const struct {
    const char* name;
    std::string bytes;
    ErrorCode error;
  } cases[] = {
      {"DATA on stream 0", FrameOf(FrameType::kData, 0, 0, "x"), ErrorCode::kProtocolError},
      {"DATA on an idle one", FrameOf(FrameType::kData, 0, 7, "x"), ErrorCode::kProtocolError},
      {"DATA on one of ours", FrameOf(FrameType::kData, 0, 2, "x"), ErrorCode::kProtocolError},
      {"HEADERS on stream 0", FrameOf(FrameType::kHeaders, 5, 0, "\x82"),
       ErrorCode::kProtocolError},
      {"HEADERS on an even one", FrameOf(FrameType::kHeaders, 5, 2, "\x82"),
       ErrorCode::kProtocolError},
      {"HPACK", FrameOf(FrameType::kHeaders, 5, 1, "\xc0"), ErrorCode::kCompressionError},
      {"a short PRIORITY", FrameOf(FrameType::kPriority, 0, 1, "1234"), ErrorCode::kFrameSizeError},
      {"PRIORITY of nobody", FrameOf(FrameType::kPriority, 0, 0, "12345"),
       ErrorCode::kProtocolError},
      {"RST_STREAM of nobody", FrameOf(FrameType::kReset, 0, 0, four), ErrorCode::kProtocolError},
      {"RST_STREAM of an idle one", FrameOf(FrameType::kReset, 0, 1, four),
       ErrorCode::kProtocolError},
      {"a long RST_STREAM", FrameOf(FrameType::kReset, 0, 1, four + "x"),
       ErrorCode::kFrameSizeError},
      {"SETTINGS of a stream", FrameOf(FrameType::kSettings, 0, 1, ""), ErrorCode::kProtocolError},
      {"SETTINGS of 7 bytes", FrameOf(FrameType::kSettings, 0, 0, "1234567"),
       ErrorCode::kFrameSizeError},
      {"an acknowledgement that says more", FrameOf(FrameType::kSettings, kAck, 0, "123456"),
       ErrorCode::kFrameSizeError},
      {"too many settings",
       FrameOf(FrameType::kSettings, 0, 0, std::string(33 * kSettingBytes, 'x')),
       ErrorCode::kEnhanceYourCalm},
      {"push", FrameOf(FrameType::kSettings, 0, 0, SettingOf(Setting::kEnablePush, 2)),
       ErrorCode::kProtocolError},
      {"a window too large",
       FrameOf(FrameType::kSettings, 0, 0, SettingOf(Setting::kInitialWindowSize, 1u << 31)),
       ErrorCode::kFlowControlError},
      {"frames too small",
       FrameOf(FrameType::kSettings, 0, 0, SettingOf(Setting::kMaxFrameSize, 16383)),
       ErrorCode::kProtocolError},
      {"frames too large",
       FrameOf(FrameType::kSettings, 0, 0, SettingOf(Setting::kMaxFrameSize, 1 << 24)),
       ErrorCode::kProtocolError},
      {"PUSH_PROMISE", FrameOf(FrameType::kPushPromise, 4, 1, four), ErrorCode::kProtocolError},
      {"PING of a stream", FrameOf(FrameType::kPing, 0, 1, "12345678"), ErrorCode::kProtocolError},
      {"a short PING", FrameOf(FrameType::kPing, 0, 0, "1234567"), ErrorCode::kFrameSizeError},
      {"a short GOAWAY", FrameOf(FrameType::kGoaway, 0, 0, "1234567"), ErrorCode::kFrameSizeError},
      {"GOAWAY of a stream", FrameOf(FrameType::kGoaway, 0, 1, "12345678"),
       ErrorCode::kProtocolError},
      {"a short WINDOW_UPDATE", FrameOf(FrameType::kWindowUpdate, 0, 0, "123"),
       ErrorCode::kFrameSizeError},
      {"WINDOW_UPDATE by nothing", FrameOf(FrameType::kWindowUpdate, 0, 0, four),
       ErrorCode::kProtocolError},
      {"WINDOW_UPDATE of an idle one", WindowUpdate(1, 1), ErrorCode::kProtocolError},
  };
  for (const auto& c : cases) {
    SessionHarness harness;
    harness.Begin();
    harness.Output();
    EXPECT_FALSE(harness.Receive(c.bytes)) << c.name;
    EXPECT_EQ(harness.OutputFrames(),
              absl::StrCat("7/0@0=", c.bytes[8] == 1 && c.error == ErrorCode::kCompressionError,
                           ",", static_cast<uint32_t>(c.error), " "))
        << c.name;
  }
}

TEST_F(SessionTest, WhatNobodyKnowsIsIgnored) {
  Begin(SettingOf(static_cast<Setting>(0x7777), 5) + SettingOf(Setting::kEnablePush, 1));
  EXPECT_TRUE(harness_.Receive(FrameOf(static_cast<FrameType>(0x10), 7, 0, "u=1")));
  harness_.Request(1);
  EXPECT_EQ(harness_.OutputFrames(), "1/4@1 1/5@1 ");
}

TEST_F(SessionTest, WhatTheOwnerDoesNotAllow) {
  for (const std::string& bytes : {FrameOf(FrameType::kPing, 0, 0, "12345678"),
                                   FrameOf(FrameType::kSettings, 0, 0, ""), ResetOf(1)}) {
    SessionHarness harness;
    harness.Begin();
    harness.answers_ = false;
    harness.Request(1);
    harness.Output();
    harness.allows_ = false;
    EXPECT_FALSE(harness.Receive(bytes));
    const std::string frames = harness.OutputFrames();
    EXPECT_NE(frames.find("7/0@0=1,11 "), std::string::npos) << frames;
    harness.session_.CloseAll();
  }
}

TEST_F(SessionTest, PingsAreAnswered) {
  Begin();
  harness_.Receive(FrameOf(FrameType::kPing, 0, 0, "12345678"));
  EXPECT_EQ(harness_.Output(), FrameOf(FrameType::kPing, kAck, 0, "12345678"));
  harness_.session_.Ping("87654321");
  EXPECT_EQ(harness_.Output(), FrameOf(FrameType::kPing, 0, 0, "87654321"));
  harness_.Receive(FrameOf(FrameType::kPing, kAck, 0, "87654321"));
  EXPECT_EQ(harness_.ping_answers_, 1);
}

TEST_F(SessionTest, GoesAwayInTwoSteps) {
  Begin();
  harness_.answers_ = false;
  harness_.Request(1);
  harness_.session_.AnnounceGoaway();
  EXPECT_EQ(harness_.OutputFrames(), "7/0@0=2147483647,0 ");
  harness_.Request(3);
  harness_.session_.Goaway();
  EXPECT_EQ(harness_.OutputFrames(), "7/0@0=3,0 ");
  harness_.TakeLog();
  // Not taken any more, but read; its bytes are given back to the connection.
  EXPECT_TRUE(harness_.Request(5, kEndHeaders));
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(harness_.Receive(FrameOf(FrameType::kData, 0, 5, std::string(16384, 'x'))));
  }
  EXPECT_EQ(harness_.OutputFrames(), "8/0@0=8388608 8/0@0=8388608 8/0@0=8388608 ");
  EXPECT_EQ(harness_.TakeLog(), "");
  for (const uint32_t id : {1, 3}) {
    EXPECT_FALSE(harness_.session_.IsOver());
    harness_.stream(id).Begin();
    harness_.stream(id).Finish();
    harness_.Output();
  }
  EXPECT_TRUE(harness_.session_.IsOver());
}

TEST_F(SessionTest, AClientThatGoesAwayIsStillServed) {
  Begin();
  harness_.answers_ = false;
  harness_.Request(1);
  harness_.Receive(FrameOf(FrameType::kGoaway, 0, 0, std::string(8, '\0')));
  EXPECT_FALSE(harness_.session_.IsOver());
  harness_.stream(1).Begin();
  harness_.stream(1).Finish();
  harness_.Output();
  EXPECT_TRUE(harness_.session_.IsOver());
}

TEST_F(SessionTest, EveryStreamIsClosedAtTheEnd) {
  Begin();
  harness_.answers_ = false;
  harness_.holds_input_ = true;
  harness_.Request(1, kEndHeaders);
  harness_.Receive(FrameOf(FrameType::kData, 0, 1, "held"));
  harness_.Receive(FrameOf(FrameType::kData, 0, 1, "half of it").substr(0, 12));
  harness_.TakeLog();
  harness_.session_.CloseAll();
  EXPECT_EQ(harness_.TakeLog(), "1 closed 8; ");
  EXPECT_EQ(harness_.session_.stream_count(), 0u);
}

// Nothing a client that does not read makes us keep goes uncounted.
TEST_F(SessionTest, FramesThatWaitAreCounted) {
  Begin();
  harness_.refuses_ = true;
  for (uint32_t id = 1; id < 200; id += 2) harness_.Request(id, kEndHeaders);
  EXPECT_EQ(harness_.session_.waiting_frames(), 200u);  // answers, and streams that end
  EXPECT_EQ(harness_.OutputFrames(0), "");
  EXPECT_EQ(harness_.session_.waiting_frames(), 200u);
  harness_.Output();
  EXPECT_EQ(harness_.session_.waiting_frames(), 0u);
}

}  // namespace
}  // namespace tidemark::server::http2
