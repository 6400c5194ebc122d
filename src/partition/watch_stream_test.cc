#include "src/partition/watch_stream.h"

#include <map>
#include <utility>

#include "gmock/gmock.h"
#include "src/base/failpoint.h"
#include "src/partition/store_for_test.h"

namespace tidemark::partition {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class WatchStreamTest : public ::testing::Test {
 protected:
  void Open(uint64_t seed = 1, size_t executors = 1, size_t credit_bytes = 4 << 20) {
    stream_ = nullptr;
    output_ = {};
    LocalStoreOptions options;
    options.watch_credit_bytes = credit_bytes;
    store_ = std::make_unique<StoreForTest>(options, seed, executors);
    ASSERT_TRUE(store_->Start().ok());
    stream_ = store_->router().OpenWatch(store_->client(), output_);
  }
  void TearDown() override {
    stream_ = nullptr;
    if (store_ != nullptr) store_->world().RunFor(absl::Milliseconds(10));
  }
  etcdserverpb::WatchCreateRequest Request(const std::string& key, const std::string& end,
                                           int64_t start = 0) {
    etcdserverpb::WatchCreateRequest request;
    request.set_key(key);
    request.set_range_end(end);
    request.set_start_revision(start);
    return request;
  }
  void Create(const std::string& key, const std::string& end, int64_t start = 0) {
    stream_->Create(Request(key, end, start));
    Settle();
  }
  void Settle() { store_->world().RunFor(absl::Milliseconds(100)); }
  std::vector<std::string> Take() { return std::exchange(output_.lines, {}); }

  RecordingOutput output_;
  std::unique_ptr<StoreForTest> store_;
  std::unique_ptr<WatchStream> stream_;
};

TEST_F(WatchStreamTest, CreateRules) {
  Open();
  ASSERT_TRUE(store_->Put("a", "1").ok());
  Create("a", "");
  EXPECT_THAT(Take(), ElementsAre("created 0 at 2"));
  auto request = Request("b", "");
  request.set_watch_id(1);
  stream_->Create(request);
  request.set_watch_id(-7);
  stream_->Create(request);
  stream_->Create(request);
  stream_->Create(Request("c", ""));
  stream_->Create(Request("b", "a"));
  stream_->Create(Request("b", "", -1));
  EXPECT_THAT(Take(), IsEmpty());  // never inline
  Settle();
  EXPECT_THAT(Take(),
              ElementsAre("created 1 at 2", "created -7 at 2",
                          "refused mvcc: duplicate watch ID provided on the WatchStream",
                          "created 2 at 2", "refused mvcc: watcher range is empty",
                          "refused etcdserver: mvcc: required revision has been compacted"));
  EXPECT_EQ(stream_->watch_count(), 4);
  stream_->Cancel(2);
  stream_->Cancel(50);
  Settle();
  EXPECT_THAT(Take(), ElementsAre("canceled 2"));
}

TEST_F(WatchStreamTest, SaysWhatItDoesNotTake) {
  Open();
  EXPECT_TRUE(stream_->Create(Request("a", "")));  // waits for its tail, and all others for it
  int taken = 0;
  while (taken < 1'000'000 && stream_->Cancel(taken)) ++taken;
  EXPECT_EQ(taken, 9'999);
  EXPECT_FALSE(stream_->RequestProgress());
  EXPECT_FALSE(stream_->Create(Request("b", "")));
  Settle();
  EXPECT_THAT(Take(), ElementsAre("created 0 at 1", "canceled 0"));
  EXPECT_TRUE(stream_->Cancel(1));
}

TEST_F(WatchStreamTest, EventsOverPartitionsInRevisionOrder) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Open(seed, 1 + seed % 4);
    Create("/registry/", "/registry0");
    Take();
    const char* keys[] = {"/registry/pods/a", "/registry/minions/a", "/registry/zz",
                          "/registry/events/a"};
    int answers = 0;
    for (int i = 0; i < 60; ++i) {
      etcdserverpb::PutRequest put;
      put.set_key(keys[i % 4]);
      store_->router().Put({}, put, [&](auto) { ++answers; });
      if (i % 7 == 0) {
        etcdserverpb::TxnRequest txn;
        for (const char* key : keys) txn.add_success()->mutable_request_put()->set_key(key);
        store_->router().Txn({}, txn, [&](auto) { ++answers; });
      }
      if (i % 5 == 0) stream_->RequestProgress();
      store_->world().RunFor(absl::Microseconds(100));
    }
    ASSERT_TRUE(store_->world().RunUntil([&] { return answers == 69; }, absl::Minutes(1)));
    Settle();
    int64_t main = 0;
    int64_t sub = 0;
    int events = 0;
    int64_t progress = 0;
    for (const std::string& line : output_.lines) {
      int64_t m = 0;
      int64_t s = 0;
      int64_t p = 0;
      if (sscanf(line.c_str(), "event 0 %ld.%ld", &m, &s) == 2) {
        EXPECT_TRUE(m == main ? s == sub + 1 : (m == main + 1 || main == 0) && s == 0) << line;
        EXPECT_GT(m, progress) << "an event behind progress that covered it (W12)";
        main = m;
        sub = s;
        ++events;
      } else if (sscanf(line.c_str(), "progress -1 %ld", &p) == 1) {
        EXPECT_GE(p, progress);
        progress = p;
      }
    }
    EXPECT_EQ(events, 60 + 9 * 4) << "seed " << seed;
    EXPECT_GT(progress, 0);
  }
}

TEST_F(WatchStreamTest, HistoryAcrossPartitionsAndCompactedStart) {
  Open();
  ASSERT_TRUE(store_->Put("/registry/pods/a", "1").ok());  // 2
  ASSERT_TRUE(store_->Put("/registry/zz", "1").ok());      // 3
  ASSERT_TRUE(store_->Put("/registry/pods/a", "2").ok());  // 4
  Create("/registry/", "/registry0", 2);
  auto lines = Take();
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "created 0 at 4");
  EXPECT_EQ(lines[1].rfind("event 0 2.0 put /registry/pods/a", 0), 0u);
  EXPECT_EQ(lines[2].rfind("event 0 3.0 put /registry/zz", 0), 0u);
  EXPECT_EQ(lines[3].rfind("event 0 4.0 put /registry/pods/a", 0), 0u);
  ASSERT_TRUE(store_->Compact(4, true).ok());
  Settle();
  EXPECT_THAT(Take(), IsEmpty());  // a watch that is not behind is not touched
  Create("/registry/", "/registry0", 3);
  EXPECT_THAT(Take(), ElementsAre("created 1 at 4", "compacted 1 4"));
  Create("/registry/pods/", "/registry/pods0", 3);
  EXPECT_THAT(Take(), ElementsAre("created 2 at 4", "compacted 2 4"));
  Create("/registry/", "/registry0", 4);
  lines = Take();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "created 3 at 4");
  EXPECT_EQ(lines[1].rfind("event 3 4.0 put /registry/pods/a", 0), 0u);
  EXPECT_EQ(stream_->watch_count(), 2);
}

TEST_F(WatchStreamTest, FutureStartDeliversNothingBefore) {
  Open();
  Create("/registry/", "/registry0", 4);
  Create("/registry/pods/", "/registry/pods0", 4);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(store_->Put("/registry/pods/a", "1").ok());
  stream_->RequestProgress();
  Settle();
  EXPECT_THAT(output_.LinesWith("event 0 2"), IsEmpty());
  EXPECT_EQ(output_.LinesWith("event 0 ").size(), 2u);
  EXPECT_EQ(output_.LinesWith("event 1 ").size(), 2u);
}

TEST_F(WatchStreamTest, ProgressNeedsEveryWatchCaughtUp) {
  Open();
  stream_->RequestProgress();
  Settle();
  EXPECT_THAT(Take(), IsEmpty());  // no watch, no answer
  Create("/registry/", "/registry0");
  Create("/registry/pods/", "/registry/pods0");
  ASSERT_TRUE(store_->Put("elsewhere", "1").ok());
  Take();
  stream_->RequestProgress();
  Settle();
  EXPECT_THAT(Take(), ElementsAre("progress -1 2"));
  Create("/registry/pods/", "/registry/pods0", 50);
  Take();
  stream_->RequestProgress();
  Settle();
  EXPECT_THAT(Take(), IsEmpty());  // its start is in the future
  stream_->Cancel(2);
  stream_->RequestProgress();
  Settle();
  EXPECT_THAT(Take(), ElementsAre("canceled 2", "progress -1 2"));
}

TEST_F(WatchStreamTest, NotifiesSilentWatchesOnly) {
  Open();
  auto request = Request("/registry/", "/registry0");
  request.set_progress_notify(true);
  stream_->Create(request);
  request = Request("a", "");
  request.set_progress_notify(true);
  stream_->Create(request);
  stream_->Create(Request("a", ""));
  Settle();
  ASSERT_TRUE(store_->Put("a", "1").ok());
  Settle();
  Take();
  stream_->NotifyProgress();
  Settle();
  EXPECT_THAT(Take(), ElementsAre("progress 0 2"));
  stream_->NotifyProgress();
  Settle();
  EXPECT_THAT(Take(), ElementsAre("progress 0 2", "progress 1 2"));
}

// A stream that nobody reads stops at its credit, gets no progress, and misses nothing.
TEST_F(WatchStreamTest, SlowStreamIsBoundedAndComplete) {
  for (const bool merged : {false, true}) {
    Open(3, 2, 64 << 10);
    Create(merged ? "/registry/" : "/registry/pods/", merged ? "/registry0" : "/registry/pods0");
    const std::string value(2000, 'x');
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(store_->Put(absl::StrCat("/registry/pods/", i % 7), value).ok());
      if (merged) {
        ASSERT_TRUE(store_->Put("/registry/zz", "1").ok());
      }
    }
    Settle();
    EXPECT_LE(output_.unconsumed_bytes, (64u << 10) + (2u << 20));
    EXPECT_LT(output_.LinesWith("event").size(), 300u);
    stream_->RequestProgress();
    Settle();
    EXPECT_THAT(output_.progress, IsEmpty());
    const size_t wanted = merged ? 600 : 300;
    for (int i = 0; i < 2000 && output_.LinesWith("event").size() < wanted; ++i) {
      stream_->Consumed(std::exchange(output_.unconsumed_bytes, 0));
      store_->world().RunFor(absl::Milliseconds(5));
    }
    const auto events = output_.LinesWith("event");
    ASSERT_EQ(events.size(), wanted);
    for (size_t i = 0; i < events.size(); ++i) {
      EXPECT_EQ(events[i].rfind(absl::StrCat("event 0 ", i + 2, ".0 "), 0), 0u) << events[i];
    }
    stream_->Consumed(std::exchange(output_.unconsumed_bytes, 0));
    stream_->RequestProgress();
    Settle();
    EXPECT_EQ(output_.progress.size(), 1u);
  }
}

// What a cancelled watch leaves unread must not hold up another partition's watches: nobody else
// gives credit back.
TEST_F(WatchStreamTest, ACancelledWatchTakesNoCreditWithIt) {
  for (int delay_us = 0; delay_us < 1500; delay_us += 10) {
    Open(1 + delay_us, 3, 64 << 10);
    Create("/registry/pods/", "/registry/pods0");
    Create("/registry/minions/", "/registry/minions0");
    etcdserverpb::PutRequest put;
    put.set_key("/registry/pods/a");
    put.set_value(std::string(100'000, 'x'));
    store_->router().Put({}, put, [](auto) {});
    put.set_key("/registry/minions/b");
    put.set_value("1");
    store_->router().Put({}, put, [](auto) {});
    store_->world().RunFor(absl::Microseconds(delay_us));
    stream_->Cancel(0);
    Settle();
    const size_t unconsumed_bytes = std::exchange(output_.unconsumed_bytes, 0);
    if (unconsumed_bytes > 0) stream_->Consumed(unconsumed_bytes);
    Settle();
    ASSERT_EQ(output_.LinesWith("event 1 ").size(), 1u) << delay_us;
  }
}

// A watch that finds room at the second look must not make the port forget the one that waits.
TEST_F(WatchStreamTest, RoomFoundByOneWatchLeavesNoOtherWaiting) {
  Open(1, 2, 64 << 10);
  Create("/registry/pods/a", "");
  Create("/registry/pods/b", "");
  const std::string large(35'000, 'x');
  ASSERT_TRUE(store_->Put("/registry/pods/b", large).ok());
  ASSERT_TRUE(store_->Put("/registry/pods/b", large).ok());
  ASSERT_TRUE(store_->Put("/registry/pods/a", "1").ok());  // no room
  Settle();
  ASSERT_THAT(output_.LinesWith("event 0 "), IsEmpty());
  bool consumed = false;
  failpoint::SetHandler([&](absl::string_view name) {
    if (name != "partition.watch_port_starves" || std::exchange(consumed, true)) return;
    output_.unconsumed_bytes -= 30'000;
    stream_->Consumed(30'000);
  });
  ASSERT_TRUE(store_->Put("/registry/pods/b", "2").ok());
  failpoint::ClearHandler();
  ASSERT_TRUE(consumed);
  stream_->Consumed(std::exchange(output_.unconsumed_bytes, 0));
  Settle();
  EXPECT_THAT(output_.LinesWith("event 0 "),
              ElementsAre(StartsWith("event 0 4.0 put /registry/pods/a")));
  EXPECT_EQ(output_.LinesWith("event 1 ").size(), 3u);
}

TEST_F(WatchStreamTest, DestroyedStreamIsSilent) {
  Open();
  Create("/registry/", "/registry0");
  Create("a", "");
  Take();
  etcdserverpb::PutRequest put;
  put.set_key("a");
  store_->router().Put({}, put, [](auto) {});
  stream_->RequestProgress();
  store_->world().RunFor(absl::Microseconds(30));
  Take();
  stream_ = nullptr;
  Settle();
  EXPECT_THAT(Take(), IsEmpty());
  ASSERT_TRUE(store_->Put("a", "2").ok());  // figures are published when something is applied
  EXPECT_EQ(store_->router().Status().watchers, 0);
}

}  // namespace
}  // namespace tidemark::partition
