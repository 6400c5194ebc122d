// A real server on bad disks: slow, full, read-only, writing short, failing to sync; and on a data
// directory of which each file was damaged, cut, removed or taken from another node.
//
// Expected: everything acknowledged is there and right, or the server ends, or refuses to start,
// with words that say where and what to do. TIDEMARK_BIN and TIDEMARK_DISK_SHIM_LIBRARY name the
// binary and the library that stands between it and the disk.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <new>
#include <sstream>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/rpc.grpc.pb.h"
#include "src/base/check.h"
#include "tests/process/disk_shim.h"
#include "tests/process/server_process.h"

namespace tidemark::process {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  CHECK_MSG(value != nullptr, name);
  return value;
}

std::string Content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

// Keys of a server and what they hold; right or wrong as a whole.
using Contents = std::map<std::string, std::string>;

class Client {
 public:
  explicit Client(const ServerProcess& server) : kv_(server.Connect()) {}

  grpc::Status Put(const std::string& key, const std::string& value,
                   absl::Duration limit = absl::Seconds(20)) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value(value);
    etcdserverpb::PutResponse response;
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + limit));
    return kv_.Put(&context, request, &response);
  }
  void Compact(int64_t revision) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    request.set_physical(true);
    etcdserverpb::CompactionResponse response;
    grpc::ClientContext context;
    CHECK(kv_.Compact(&context, request, &response).ok());
  }
  Contents All() {
    etcdserverpb::RangeRequest request;
    request.set_key(std::string(1, '\0'));
    request.set_range_end(std::string(1, '\0'));
    etcdserverpb::RangeResponse response;
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    const grpc::Status status = kv_.Range(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    Contents contents;
    for (const auto& kv : response.kvs()) {
      contents[kv.key()] = absl::StrCat(kv.value(), "@", kv.mod_revision());
    }
    return contents;
  }

 private:
  etcdserverpb::KV::Stub kv_;
};

std::vector<std::string> FrequentCheckpoints() {
  return {"--journal-segment-bytes=1048576", "--checkpoint-interval=1s"};
}

// ---- A disk that misbehaves while the server runs ----------------------------------------------

class BadDiskTest : public ::testing::Test {
 protected:
  BadDiskTest() : directory_(MakeTestDirectory("disk")) {
    const std::string path = directory_ + "/control";
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, sizeof(DiskControl)) == 0);
    void* mapped = mmap(nullptr, sizeof(DiskControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(mapped != MAP_FAILED);
    close(fd);
    disk_ = new (mapped) DiskControl();
    ServerOptions options;
    options.binary = Variable("TIDEMARK_BIN");
    options.directory = directory_ + "/server";
    options.extra_flags = FrequentCheckpoints();
    options.environment = {"LD_PRELOAD=" + Variable("TIDEMARK_DISK_SHIM_LIBRARY"),
                           absl::StrCat(kControlVariable, "=", path),
                           absl::StrCat(kUnderVariable, "=", options.directory, "/data")};
    options_ = std::move(options);
    MakeServer();
  }
  ~BadDiskTest() override {
    server_.reset();
    munmap(disk_, sizeof(DiskControl));
    RemoveTree(directory_);
  }

  void MakeServer() { server_ = std::make_unique<ServerProcess>(options_); }

  void StartAndFill() {
    server_->Start();
    ASSERT_TRUE(server_->WaitReady()) << Log();
    Fill(0, 50);
  }
  void Fill(int first, int end) {
    Client client(*server_);
    for (int i = first; i < end; ++i) {
      const grpc::Status status = client.Put(absl::StrCat("/registry/pods/", i), Value(i));
      ASSERT_TRUE(status.ok()) << status.error_message();
    }
  }
  static std::string Value(int i) { return absl::StrCat(i, std::string(200, 'v')); }

  void ExpectFilled(int count) {
    Client client(*server_);
    const Contents all = client.All();
    for (int i = 0; i < count; ++i) {
      const auto found = all.find(absl::StrCat("/registry/pods/", i));
      ASSERT_NE(found, all.end()) << i;
      EXPECT_EQ(found->second, absl::StrCat(Value(i), "@", i + 2));
    }
  }
  // With memory, or from the disk alone.
  void Restart(bool keep_memory) {
    server_->Kill();
    if (!keep_memory) RemoveTree(server_->memory_directory());
    server_->Start();
    ASSERT_TRUE(server_->WaitReady()) << Log();
  }
  std::string Log() const { return Content(server_->log_path()); }

  const std::string directory_;
  DiskControl* disk_ = nullptr;
  ServerOptions options_;
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(BadDiskTest, SlowWritesDelayWritesAndNothingElse) {
  ASSERT_NO_FATAL_FAILURE(StartAndFill());
  disk_->delay_ms = 1000;
  disk_->fault = DiskControl::kSlow;  // the write and the sync: two seconds for a block
  grpc::Status put;
  absl::Duration took;
  std::thread writer([&] {
    Client client(*server_);
    const absl::Time start = absl::Now();
    put = client.Put("slow", "value");
    took = absl::Now() - start;
  });
  const absl::Time start = absl::Now();
  while (disk_->hits == 0 && absl::Now() - start < absl::Seconds(5)) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  const absl::Time written_at = absl::Now();
  ExpectFilled(50);
  EXPECT_LT(absl::Now() - written_at, absl::Milliseconds(900)) << "a read waited for the disk";
  writer.join();
  EXPECT_TRUE(put.ok()) << put.error_message();
  EXPECT_GE(took, absl::Milliseconds(1990));
  disk_->fault = DiskControl::kNone;
  ExpectFilled(50);
  Restart(/*keep_memory=*/false);
  EXPECT_EQ(Client(*server_).All().count("slow"), 1);
}

TEST_F(BadDiskTest, ShortWritesAreCompleted) {
  disk_->fault = DiskControl::kShortWrite;
  ASSERT_NO_FATAL_FAILURE(StartAndFill());
  EXPECT_GT(disk_->hits, 50);
  disk_->fault = DiskControl::kNone;
  Restart(/*keep_memory=*/false);
  ExpectFilled(50);
}

class FailedSyncTest : public BadDiskTest, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(ThroughTheCacheAndPastIt, FailedSyncTest, ::testing::Bool());

TEST_P(FailedSyncTest, EndsTheServer) {
  const bool directly = GetParam();
  options_.extra_flags.push_back(
      absl::StrCat("--journal-direct-writes=", directly ? "true" : "false"));
  MakeServer();
  ASSERT_NO_FATAL_FAILURE(StartAndFill());
  disk_->fault = DiskControl::kFailSync;
  EXPECT_FALSE(Client(*server_).Put("lost", "value", absl::Seconds(5)).ok());
  disk_->fault = DiskControl::kNone;
  int wait_status = 0;
  server_->WaitEnded(&wait_status, absl::Seconds(10));
  ASSERT_NE(wait_status, 0) << "it went on after a sync that failed";
  EXPECT_THAT(Log(), HasSubstr(directly ? "pwritev2" : "fdatasync"));
  EXPECT_THAT(Log(), HasSubstr("\"msg\":\"ending the process\""));  // wherever the log goes
  server_->Start();
  ASSERT_TRUE(server_->WaitReady()) << Log();
  ExpectFilled(50);
}

TEST_F(BadDiskTest, AFullDiskRefusesWritesUntilThereIsRoom) {
  ASSERT_NO_FATAL_FAILURE(StartAndFill());
  disk_->fault = DiskControl::kFull;
  grpc::Status refused;
  for (int i = 0; i < 2000 && refused.ok(); ++i) {
    refused = Client(*server_).Put("filler", std::string(10000, 'f'));
  }
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << refused.error_message();
  EXPECT_EQ(refused.error_message(), "etcdserver: mvcc: database space exceeded");
  ExpectFilled(50);
  disk_->fault = DiskControl::kNone;
  ASSERT_TRUE(Client(*server_).Put("again", "value").ok());
  const Contents before = Client(*server_).All();
  Restart(/*keep_memory=*/false);
  EXPECT_EQ(Client(*server_).All(), before);
}

// A file system that copies on write refuses even what was reserved, and the journal cannot take
// back what it tried: nobody is told that nothing happened until it can.
TEST_F(BadDiskTest, AFullDiskThatCopiesOnWriteRefusesUntilThereIsRoom) {
  ASSERT_NO_FATAL_FAILURE(StartAndFill());
  for (const char* round : {"first", "second"}) {
    const Contents before = Client(*server_).All();
    disk_->fault = DiskControl::kFullCopies;
    const grpc::Status unknown = Client(*server_).Put(absl::StrCat(round, " unknown"), "value");
    EXPECT_EQ(unknown.error_message(), "etcdserver: request timed out");
    for (const char* key : {"refused", "/registry/pods/refused", "/registry/pods/0"}) {
      const grpc::Status refused = Client(*server_).Put(key, "value");
      EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
      EXPECT_EQ(refused.error_message(), "etcdserver: mvcc: database space exceeded");
    }
    absl::SleepFor(absl::Seconds(2));  // a checkpoint is tried
    EXPECT_EQ(Client(*server_).All(), before);
    disk_->fault = DiskControl::kNone;
    const grpc::Status put = Client(*server_).Put(absl::StrCat(round, " again"), "value");
    EXPECT_TRUE(put.ok()) << put.error_message();
    EXPECT_EQ(Client(*server_).All().size(), before.size() + 1);
  }
  EXPECT_THAT(Log(), HasSubstr("the journal's disk is full"));
  EXPECT_THAT(Log(), HasSubstr("the journal's disk has space again"));
  const Contents before = Client(*server_).All();
  Restart(/*keep_memory=*/false);
  EXPECT_EQ(Client(*server_).All(), before);
}

class RefusedStartTest : public BadDiskTest {
 protected:
  // Refused with the reason and the directory, and as it was once the fault is gone.
  void ExpectRefusal(DiskControl::Fault fault, const std::string& reason) {
    server_->Kill();
    disk_->fault = fault;
    fs::resize_file(server_->log_path(), 0);
    server_->Start();
    EXPECT_FALSE(server_->WaitReady());
    EXPECT_THAT(Log(), HasSubstr(reason));
    EXPECT_THAT(Log(), HasSubstr(server_->data_directory()));
    disk_->fault = DiskControl::kNone;
    server_->Start();
    ASSERT_TRUE(server_->WaitReady()) << Log();
    ExpectFilled(50);
  }
};

TEST_F(RefusedStartTest, OnAFullDiskInWords) {
  ASSERT_NO_FATAL_FAILURE(StartAndFill());
  ASSERT_NO_FATAL_FAILURE(ExpectRefusal(DiskControl::kFull, "No space left on device"));
  ASSERT_NO_FATAL_FAILURE(ExpectRefusal(DiskControl::kFullCopies, "No space left on device"));
}

TEST_F(RefusedStartTest, InAReadOnlyDirectoryInWords) {
  ASSERT_NO_FATAL_FAILURE(StartAndFill());
  ASSERT_NO_FATAL_FAILURE(ExpectRefusal(DiskControl::kReadOnly, "Read-only file system"));
}

// ---- Files that were damaged while no server ran -----------------------------------------------

enum class Damage { kFlippedBit, kCut, kEmptied, kRemoved, kOfAnotherNode };
constexpr Damage kDamages[] = {Damage::kFlippedBit, Damage::kCut, Damage::kEmptied,
                               Damage::kRemoved, Damage::kOfAnotherNode};
constexpr const char* kDamageNames[] = {"a bit flipped", "cut", "emptied", "removed",
                                        "of another node"};

constexpr int kPartitions = 5;

// A node that lived for a while, has checkpoints and a trimmed journal, and was killed.
struct DeadNode {
  std::string data;  // a copy of its directory
  Contents contents;
};

class DamagedFilesTest : public ::testing::Test {
 protected:
  DamagedFilesTest() : directory_(MakeTestDirectory("damage")) {
    ServerOptions options;
    options.binary = Variable("TIDEMARK_BIN");
    options.directory = directory_ + "/server";
    options.extra_flags = FrequentCheckpoints();
    server_ = std::make_unique<ServerProcess>(std::move(options));
  }
  ~DamagedFilesTest() override {
    server_.reset();
    RemoveTree(directory_);
  }

  void Forget() {
    server_->Kill();
    RemoveTree(server_->memory_directory());
    RemoveTree(server_->data_directory());
    RemoveTree(server_->log_path());
  }

  // The ids of a node, from the flags of its first start.
  std::string MakeIdentity(const std::string& token) {
    ServerOptions options;
    options.binary = Variable("TIDEMARK_BIN");
    options.directory = absl::StrCat(directory_, "/", token);
    options.extra_flags = {"--initial-cluster-token=" + token};
    ServerProcess server(std::move(options));
    server.Start();
    CHECK(server.WaitReady());
    server.Kill();
    return Content(fs::path(server.data_directory()) / "identity.json");
  }

  // Of 60 rounds the journal is trimmed, of a few it is not.
  DeadNode MakeNode(const std::string& name, int rounds = 60) {
    server_->Start();
    CHECK_MSG(server_->WaitReady(), Log());
    DeadNode node;
    node.data = absl::StrCat(directory_, "/", name);
    Fill(name, rounds);
    if (rounds <= 30) WaitForCheckpoints();
    node.contents = Client(*server_).All();
    server_->Kill();
    fs::copy(server_->data_directory(), node.data, fs::copy_options::recursive);
    Forget();
    return node;
  }
  void Fill(const std::string& name, int rounds) {
    Client client(*server_);
    for (int round = 0; round < rounds; ++round) {
      for (const char* prefix : {"/registry/pods/", "/registry/minions/", "/else/"}) {
        const std::string key = absl::StrCat(prefix, name, round % 7);
        CHECK(client.Put(key, absl::StrCat(name, round, std::string(16000, 'v'))).ok());
      }
      if (round == 30) {
        client.Compact(40);
        WaitForTrim();
      }
    }
  }
  void WaitForTrim() {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (!absl::StrContains(Log(), "trimmed journal")) {
      CHECK_MSG(absl::Now() < deadline, Log());
      absl::SleepFor(absl::Milliseconds(20));
    }
  }
  // A round that began after this call.
  void WaitForCheckpoints() {
    const int before = CheckpointsMade();
    CHECK(Client(*server_).Put("checkpoint", "now").ok());
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (CheckpointsMade() < before + 2 * kPartitions) {
      CHECK_MSG(absl::Now() < deadline, Log());
      absl::SleepFor(absl::Milliseconds(100));
      CHECK(Client(*server_).Put("checkpoint", "now").ok());
    }
  }
  int CheckpointsMade() const {
    const std::vector<std::string> parts = absl::StrSplit(Log(), "\"made a checkpoint\"");
    return static_cast<int>(parts.size()) - 1;
  }
  std::string Log() const { return Content(server_->log_path()); }

  // What it wrote to stderr before it ended, beside its log.
  std::string LastWords() const {
    const std::string log = Log();
    std::string words;
    for (const absl::string_view line : absl::StrSplit(log, '\n')) {
      if (absl::StartsWith(line, "tidemark: ")) words = std::string(line);
    }
    return words;
  }

  // False when this damage changes nothing in this file.
  static bool Apply(Damage damage, const fs::path& file, const fs::path& of_another) {
    const std::string before = Content(file);
    switch (damage) {
      case Damage::kFlippedBit: {
        if (before.empty()) return false;
        std::string bytes = before;
        bytes[bytes.size() / 3] ^= 0x10;
        std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
        return true;
      }
      case Damage::kCut:
        if (before.size() < 2) return false;
        fs::resize_file(file, before.size() / 2);
        return true;
      case Damage::kEmptied:
        if (before.empty()) return false;
        fs::resize_file(file, 0);
        return true;
      case Damage::kRemoved:
        fs::remove(file);
        return true;
      case Damage::kOfAnotherNode:
        if (!fs::exists(of_another) || Content(of_another) == before) return false;
        fs::copy_file(of_another, file, fs::copy_options::overwrite_existing);
        return true;
    }
    return false;
  }

  // What the server does with the node's data after the damage; "" when that is as it should be.
  std::string Judge(const DeadNode& node, const DeadNode& other, const std::string& file,
                    Damage damage) {
    fs::copy(node.data, server_->data_directory(), fs::copy_options::recursive);
    if (!Apply(damage, fs::path(server_->data_directory()) / file, fs::path(other.data) / file)) {
      Forget();
      return "";
    }
    server_->Start();
    std::string wrong;
    if (server_->WaitReady()) {
      ++served_;
      if (Client(*server_).All() != node.contents) wrong = "it serves something else";
    } else {
      ++refused_;
      int wait_status = 0;
      if (!server_->HasEnded(&wait_status)) wrong = "it neither serves nor ends";
      const std::string reason = LastWords();
      refused_for_identity_ += absl::StrContains(reason, "taken from different nodes");
      const bool says_where = absl::StrContains(reason, server_->data_directory()) ||
                              absl::StrContains(reason, "partition ");
      if (wrong.empty() && !says_where) {
        wrong = absl::StrCat("it does not say where: ", reason);
      }
      if (wrong.empty() && !absl::StrContains(absl::AsciiStrToLower(reason), "restore ")) {
        wrong = absl::StrCat("it does not say what to do: ", reason);
      }
    }
    last_log_ = Log();
    Forget();
    return wrong;
  }
  static std::vector<std::string> FilesOf(const DeadNode& node, const std::string& under) {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(node.data + "/" + under)) {
      if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), node.data));
    }
    return files;
  }

  const std::string directory_;
  std::unique_ptr<ServerProcess> server_;
  std::string last_log_;
  int served_ = 0;
  int refused_ = 0;
  int refused_for_identity_ = 0;
};

// Nothing is lost with checkpoints while the journal has everything, so nothing stops a start.
TEST_F(DamagedFilesTest, OfCheckpointsAreNotMissedWhereTheJournalIsWhole) {
  const DeadNode node = MakeNode("a", 5);
  const DeadNode other = MakeNode("b", 5);
  int warned = 0;
  for (const std::string& file : FilesOf(node, "checkpoints/rocksdb")) {
    for (const Damage damage : kDamages) {
      const std::string what = absl::StrCat(file, ", ", kDamageNames[static_cast<int>(damage)]);
      EXPECT_EQ(Judge(node, other, file, damage), "") << what;
      EXPECT_EQ(refused_, 0) << what;
      warned += absl::StrContains(last_log_, "is damaged") ||
                absl::StrContains(last_log_, "were set aside");
    }
  }
  EXPECT_GT(warned, 10);
}

// Where memory is left, a start needs no more of a checkpoint than its header; the next round
// replaces it.
TEST_F(DamagedFilesTest, OfCheckpointsAreNotMissedWhereMemoryIsLeft) {
  server_->Start();
  ASSERT_TRUE(server_->WaitReady()) << Log();
  Fill("a", 60);
  const Contents contents = Client(*server_).All();
  server_->Kill();
  const std::string data = directory_ + "/data";
  const std::string memory = directory_ + "/memory";
  fs::copy(server_->data_directory(), data, fs::copy_options::recursive);
  fs::copy(server_->memory_directory(), memory, fs::copy_options::recursive);
  int lost = 0;
  int damaged = 0;
  for (const auto& file : fs::directory_iterator(data + "/checkpoints/rocksdb")) {
    if (fs::file_size(file.path()) < 2) continue;
    SCOPED_TRACE(file.path());
    Forget();
    fs::copy(data, server_->data_directory(), fs::copy_options::recursive);
    fs::copy(memory, server_->memory_directory(), fs::copy_options::recursive);
    const fs::path path =
        fs::path(server_->data_directory()) / "checkpoints/rocksdb" / file.path().filename();
    fs::resize_file(path, fs::file_size(path) / 2);
    server_->Start();
    ASSERT_TRUE(server_->WaitReady()) << LastWords();
    EXPECT_EQ(Client(*server_).All(), contents);
    const bool is_lost = absl::StrContains(Log(), "a checkpoint is lost, but for its header");
    lost += is_lost;
    damaged += absl::StrContains(Log(), "a checkpoint is damaged");
    // Of both kinds one is looked at for longer.
    if (!absl::StrContains(Log(), "\"a checkpoint is ") || (is_lost ? lost : damaged) > 1) continue;
    WaitForCheckpoints();
    const Contents before = Client(*server_).All();
    server_->Kill();
    RemoveTree(server_->memory_directory());
    server_->Start();
    ASSERT_TRUE(server_->WaitReady()) << Log();
    EXPECT_EQ(Client(*server_).All(), before);
  }
  EXPECT_GE(damaged, 3);  // partitions with keys
  EXPECT_GE(lost, 3);     // tables of headers, CURRENT, the manifest
}

TEST_F(DamagedFilesTest, AreServedRightOrRefusedInWords) {
  const DeadNode node = MakeNode("a");
  const DeadNode other = MakeNode("b");
  std::ofstream(other.data + "/identity.json") << MakeIdentity("other");
  const std::vector<std::string> files = FilesOf(node, "");
  ASSERT_GT(files.size(), 10u);
  for (const std::string& file : files) {
    for (const Damage damage : kDamages) {
      const std::string wrong = Judge(node, other, file, damage);
      EXPECT_EQ(wrong, "") << file << ", " << kDamageNames[static_cast<int>(damage)];
    }
  }
  EXPECT_GE(refused_for_identity_, 1);
  // Each way is taken: what is needed is missed, what is not is not.
  EXPECT_GT(served_, 0);
  EXPECT_GT(refused_, 10);
}

}  // namespace
}  // namespace tidemark::process
