// kill -9 at random moments and at fail points, again and again, on a real disk.
//
// The child (this program again, as the test CheckpointCrashChild) goes through a fixed sequence of
// checkpoints of two partitions, which follows from the step's number, and tells each acknowledged
// step through a pipe. After each kill the newest checkpoint of each partition must be the last
// acknowledged one or the one that was being committed, whole.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "src/base/failpoint.h"
#include "src/base/posix_file_system.h"
#include "src/base/temporary_directory.h"
#include "src/kvstore/checkpoint/checkpoint_images_for_test.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::kvstore {
namespace {

constexpr PartitionId kPods{3};
constexpr PartitionId kNodes{1};
constexpr char kChildDirectory[] = "TIDEMARK_CHECKPOINT_CHILD_DIRECTORY";
constexpr char kChildStep[] = "TIDEMARK_CHECKPOINT_CHILD_STEP";
constexpr int kAcknowledgements = 3;  // the child's end of the pipe

const char* const kFailPoints[] = {"checkpoint.built", "checkpoint.before_ingest",
                                   "checkpoint.between_ingestions", "checkpoint.after_ingest",
                                   "checkpoint.after_drop"};

PosixFileSystem files;

absl::StatusOr<std::unique_ptr<CheckpointStore>> Open(const std::string& directory) {
  RocksCheckpointOptions options;
  options.directory = directory;
  options.store = 7;
  options.file_system = &files;
  options.table_bytes = 8 << 10;
  return OpenRocksCheckpointStore(options);
}

// What every step writes: partition and image. Grows on demand.
class Sequence {
 public:
  struct Step {
    PartitionId partition;
    CheckpointImage image;
  };

  // Steps count from 1.
  const Step& At(uint64_t number) {
    while (steps_.size() < number) {
      uint64_t next = steps_.size() + 1;
      PartitionId partition = next % 3 == 0 ? kNodes : kPods;
      CheckpointImage& image = newest_.try_emplace(partition, EmptyImage(partition)).first->second;
      sim::SeededRandom random(next);
      Position before = image.header.at.position;
      do {
        image = NextImage(random, image, 2000);
      } while (image.header.at.position == before);
      steps_.push_back({partition, image});
    }
    return steps_[number - 1];
  }
  // The newest step of `partition` up to `number`; 0: none.
  uint64_t NewestOf(PartitionId partition, uint64_t number) {
    while (number > 0 && At(number).partition != partition) --number;
    return number;
  }

 private:
  std::vector<Step> steps_;
  std::map<PartitionId, CheckpointImage> newest_;
};

absl::Status WriteStep(CheckpointStore& store, Sequence& sequence, uint64_t number) {
  const CheckpointImage image = sequence.At(number).image;
  uint64_t base = sequence.NewestOf(image.header.partition, number - 1);
  if (base == 0 || number % 5 == 0) return WriteWhole(store, image);
  return WriteIncrement(store, sequence.At(base).image, image);
}

// Until it is killed.
TEST(CheckpointCrashChild, DISABLED_Writes) {
  const char* directory = std::getenv(kChildDirectory);
  ASSERT_NE(directory, nullptr) << "runs as the child of CheckpointCrashTest only";
  uint64_t step = 0;
  ASSERT_TRUE(absl::SimpleAtoi(std::getenv(kChildStep), &step));
  failpoint::ArmFromEnvironment();
  auto store = Open(directory);
  ASSERT_TRUE(store.ok()) << store.status();
  Sequence sequence;
  for (++step; step < 1000000; ++step) {
    absl::Status status = WriteStep(**store, sequence, step);
    ASSERT_TRUE(status.ok()) << status;
    std::string line = absl::StrCat(step, "\n");
    ASSERT_EQ(::write(kAcknowledgements, line.data(), line.size()),
              static_cast<ssize_t>(line.size()));
  }
}

class Child {
 public:
  Child(const std::string& directory, uint64_t step, const std::string& fail_point,
        const std::string& planted_bug) {
    int ends[2];
    CHECK(::pipe(ends) == 0);
    pid_ = ::fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      ::close(ends[0]);
      ::dup2(ends[1], kAcknowledgements);
      if (ends[1] != kAcknowledgements) ::close(ends[1]);
      ::setenv(kChildDirectory, directory.c_str(), 1);
      ::setenv(kChildStep, absl::StrCat(step).c_str(), 1);
      ::setenv("TIDEMARK_FAILPOINTS", fail_point.c_str(), 1);
      ::setenv("TIDEMARK_PLANTED_BUG", planted_bug.c_str(), 1);
      ::execl("/proc/self/exe", "child", "--gtest_filter=CheckpointCrashChild.*",
              "--gtest_also_run_disabled_tests", "--gtest_brief=1", nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    pipe_ = ends[0];
  }
  ~Child() { ::close(pipe_); }

  uint64_t acknowledged() const { return acknowledged_; }

  // Reads what comes within `wait_ms`; false at the end of the child.
  bool Listen(int wait_ms) {
    pollfd poll_on{pipe_, POLLIN, 0};
    if (::poll(&poll_on, 1, wait_ms) == 0) return true;
    char bytes[4096];
    ssize_t size = ::read(pipe_, bytes, sizeof(bytes));
    if (size <= 0) return false;
    text_.append(bytes, static_cast<size_t>(size));
    std::vector<absl::string_view> lines = absl::StrSplit(text_, '\n');
    for (size_t i = 0; i + 1 < lines.size(); ++i) {
      CHECK(absl::SimpleAtoi(lines[i], &acknowledged_));
    }
    return true;
  }
  // Takes all that it said; true if it was killed, not ended by itself.
  bool Kill() {
    ::kill(pid_, SIGKILL);
    while (Listen(-1)) {
    }
    int status = 0;
    CHECK(::waitpid(pid_, &status, 0) == pid_);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }

 private:
  pid_t pid_ = -1;
  int pipe_ = -1;
  std::string text_;
  uint64_t acknowledged_ = 0;
};

// The step of the newest checkpoint, or what is wrong.
absl::StatusOr<uint64_t> FindStep(const CheckpointStore& store, Sequence& sequence,
                                  PartitionId partition, uint64_t acknowledged) {
  auto found = ReadAll(store, partition);
  if (absl::IsNotFound(found.status()) && sequence.NewestOf(partition, acknowledged) == 0) return 0;
  if (!found.ok()) return found.status();
  for (uint64_t step : {sequence.NewestOf(partition, acknowledged),
                        sequence.NewestOf(partition, acknowledged + 1)}) {
    if (step > 0 && *found == sequence.At(step).image) return step;
  }
  return absl::InternalError(absl::StrCat("partition ", partition.value(), " is at position ",
                                          found->header.at.position.value(), ", acknowledged was ",
                                          acknowledged));
}

// What was wrong, or "".
std::string RunCycles(int cycles, uint64_t seed, const std::string& planted_bug) {
  sim::SeededRandom random(seed);
  TemporaryDirectory directory(std::filesystem::current_path().string());
  Sequence sequence;
  uint64_t step = 0;
  uint64_t was_ahead = 0;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    std::string fail_point;
    if (sim::DrawOneIn(random, 2)) {
      fail_point = absl::StrCat(kFailPoints[sim::DrawBelow(random, std::size(kFailPoints))],
                                "=kill@", 1 + sim::DrawBelow(random, 6));
    }
    Child child(directory.path(), step, fail_point, planted_bug);
    uint64_t until = step + sim::DrawBelow(random, 6);
    bool is_alive = true;
    while (is_alive && child.acknowledged() < until) is_alive = child.Listen(-1);
    if (is_alive) child.Listen(static_cast<int>(sim::DrawBelow(random, 60)));
    if (!child.Kill()) return "the child ended by itself; see above";
    step = std::max(step, child.acknowledged());

    auto store = Open(directory.path());
    if (!store.ok()) return store.status().ToString();
    uint64_t found_step = 0;
    for (PartitionId partition : {kPods, kNodes}) {
      auto found = FindStep(**store, sequence, partition, step);
      if (!found.ok()) return absl::StrCat("cycle ", cycle, ": ", found.status().ToString());
      found_step = std::max(found_step, *found);
    }
    if (found_step > step) ++was_ahead;
    step = std::max(step, found_step);
  }
  std::cerr << cycles << " kills, " << step << " checkpoints; after " << was_ahead
            << " kills the one in progress was there\n";
  return step < static_cast<uint64_t>(cycles) / 2 ? "too few checkpoints" : "";
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

TEST(CheckpointCrashTest, AcknowledgedCheckpointsSurviveKills) {
  uint64_t seed = FromEnvironment("TIDEMARK_CHECKPOINT_SEED", 1);
  int cycles = static_cast<int>(FromEnvironment("TIDEMARK_CHECKPOINT_CYCLES", 60));
  EXPECT_EQ(RunCycles(cycles, seed, ""), "") << "TIDEMARK_CHECKPOINT_SEED=" << seed;
}

#ifdef TIDEMARK_PLANTED_BUGS
TEST(CheckpointCrashTest, FindsAHeaderWithoutItsRecords) {
  std::string problem = RunCycles(300, 1, "checkpoint_header_before_records");
  EXPECT_NE(problem, "");
  EXPECT_NE(problem, "the child ended by itself; see above");
  EXPECT_NE(problem, "too few checkpoints");
}
#endif

}  // namespace
}  // namespace tidemark::kvstore
