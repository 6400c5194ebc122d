#include "src/server/transport/deadline_heap.h"

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace tidemark::server {
namespace {

class Noted final : public DeadlineHeap::Entry {
 public:
  explicit Noted(std::function<void(Noted*)> then) : then_(std::move(then)) {}
  void OnDeadline() override { then_(this); }

 private:
  const std::function<void(Noted*)> then_;
};

absl::Duration At(int64_t millis) { return absl::Milliseconds(millis); }

TEST(DeadlineHeapTest, AnswersAsAnOrderedSetDoes) {
  DeadlineHeap heap;
  std::set<std::pair<absl::Duration, Noted*>> model;
  std::map<Noted*, absl::Duration> times;
  const auto forget = [&](Noted* entry) {
    const auto it = times.find(entry);
    if (it == times.end()) return;
    model.erase({it->second, entry});
    times.erase(it);
  };
  std::array<std::unique_ptr<Noted>, 100> entries;
  absl::Duration now;
  const auto on_due = [&](Noted* entry) {
    ASSERT_TRUE(times.contains(entry));
    EXPECT_EQ(times[entry], model.begin()->first);
    EXPECT_LE(times[entry], now);
    forget(entry);
  };
  std::mt19937 random(1);
  for (int i = 0; i < 100'000; ++i) {
    std::unique_ptr<Noted>& entry = entries[random() % entries.size()];
    switch (random() % 8) {
      case 0:
        if (entry != nullptr) forget(entry.get());
        entry = std::make_unique<Noted>(on_due);
        break;
      case 1:
        now += At(random() % 5);
        heap.RunDue(now);
        EXPECT_TRUE(model.empty() || model.begin()->first > now);
        break;
      case 2:
        if (entry == nullptr) break;
        forget(entry.get());
        heap.Set(*entry, absl::InfiniteDuration());
        break;
      default:
        if (entry == nullptr) break;
        forget(entry.get());
        times[entry.get()] = now + At(random() % 50);
        model.emplace(times[entry.get()], entry.get());
        heap.Set(*entry, times[entry.get()]);
    }
    ASSERT_EQ(heap.size(), model.size());
    ASSERT_EQ(heap.first(), model.empty() ? absl::InfiniteDuration() : model.begin()->first);
  }
}

TEST(DeadlineHeapTest, AnEntryMaySetItselfAndDestroyAnother) {
  DeadlineHeap heap;
  int again = 0;
  Noted repeats([&](Noted* self) {
    ++again;
    heap.Set(*self, At(3));
  });
  std::unique_ptr<Noted> victim;
  victim = std::make_unique<Noted>([](Noted*) { FAIL() << "destroyed before its time came"; });
  Noted destroys([&](Noted*) { victim = nullptr; });
  heap.Set(repeats, At(1));
  heap.Set(destroys, At(2));
  heap.Set(*victim, At(3));
  heap.RunDue(At(3));
  EXPECT_EQ(victim, nullptr);
  EXPECT_GE(again, 1);
  EXPECT_LE(again, 3) << "one that is always due must not hold up the loop";
  heap.Set(repeats, absl::InfiniteDuration());
  EXPECT_EQ(heap.size(), 0u);
}

}  // namespace
}  // namespace tidemark::server
