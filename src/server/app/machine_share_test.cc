#include "src/server/app/machine_share.h"

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "src/base/temporary_directory.h"

namespace tidemark::server {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

class MachineShareTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = root_.path() + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  void SetUp() override {
    Write("/proc/meminfo", "MemFree:    1 kB\nMemTotal:       16777216 kB\nBuffers: 3 kB\n");
  }
  uint64_t Available() { return AvailableMemoryBytes(root_.path()); }
  size_t Cores(size_t of) { return AvailableCores(of, root_.path()); }

  TemporaryDirectory root_;
};

TEST_F(MachineShareTest, TheMachinesWithoutAnyLimit) {
  EXPECT_EQ(Available(), 16 * kGiB);
  Write("/proc/self/cgroup", "0::/user.slice/a\n");
  Write("/sys/fs/cgroup/user.slice/a/memory.max", "max\n");
  EXPECT_EQ(Available(), 16 * kGiB);
  EXPECT_GT(AvailableMemoryBytes(), 100u << 20);  // of the real machine
}

TEST_F(MachineShareTest, TheLeastOfTheGroupAndThoseAboveIt) {
  Write("/proc/self/cgroup", "0::/pods/pod7/etcd\n");
  Write("/sys/fs/cgroup/pods/pod7/etcd/memory.max", "max\n");
  Write("/sys/fs/cgroup/pods/pod7/memory.max", "2147483648\n");
  Write("/sys/fs/cgroup/pods/memory.max", "8589934592\n");
  EXPECT_EQ(Available(), 2 * kGiB);
}

TEST_F(MachineShareTest, InAContainerTheMountIsTheGroup) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "1073741824\n");
  EXPECT_EQ(Available(), kGiB);
}

TEST_F(MachineShareTest, TheOlderVersionsLimit) {
  Write("/proc/self/cgroup", "7:cpu,cpuacct:/x\n4:memory:/docker/abc\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
  EXPECT_EQ(Available(), kGiB / 2);
}

TEST_F(MachineShareTest, TheMachinesCoresWithoutAnyLimit) {
  EXPECT_EQ(Cores(64), 64u);
  EXPECT_EQ(Cores(0), 1u);  // where nobody can tell
  Write("/proc/self/cgroup", "0::/user.slice/a\n");
  Write("/sys/fs/cgroup/user.slice/a/cpu.max", "max 100000\n");
  Write("/sys/fs/cgroup/cpu.max", "broken\n");
  EXPECT_EQ(Cores(64), 64u);
}

TEST_F(MachineShareTest, SoManyCoresAsTheGroupsLetRun) {
  Write("/proc/self/cgroup", "0::/pods/pod7/etcd\n");
  Write("/sys/fs/cgroup/pods/pod7/etcd/cpu.max", "350000 100000\n");
  EXPECT_EQ(Cores(64), 4u);
  EXPECT_EQ(Cores(2), 2u);
  Write("/sys/fs/cgroup/pods/pod7/cpu.max", "50000 100000\n");
  EXPECT_EQ(Cores(64), 1u);
}

TEST_F(MachineShareTest, TheOlderVersionsCores) {
  Write("/proc/self/cgroup", "7:cpuacct,cpu:/x\n4:memory:/docker/abc\n");
  Write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  Write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Cores(64), 64u);
  Write("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "200000\n");
  Write("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Cores(64), 2u);
}

TEST_F(MachineShareTest, ABudgetForThatMemory) {
  EXPECT_EQ(DefaultBudgetBytes(100 * kGiB, 50 * kGiB), static_cast<int64_t>(85 * kGiB));
  EXPECT_EQ(DefaultBudgetBytes(100 * kGiB, kGiB), static_cast<int64_t>(2 * kGiB));
  EXPECT_EQ(DefaultBudgetBytes(100 * kGiB, UINT64_MAX), static_cast<int64_t>(85 * kGiB));
  EXPECT_EQ(DefaultBudgetBytes(10 << 20, UINT64_MAX), kLeastBudgetBytes);
}

}  // namespace
}  // namespace tidemark::server
