// What is said about checkpoints and memory is what a start then does: on directories made by a
// whole store over the real journal, RocksDB and memory files; whole, with flipped bits, with files
// missing, exchanged, and taken from another store.
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/base/inline_blocking_runner.h"
#include "src/base/log.h"
#include "src/base/posix_file_system.h"
#include "src/base/temporary_directory.h"
#include "src/base/tmpfs_mapper.h"
#include "src/inspect/checkpoint_part.h"
#include "src/inspect/inspect.h"
#include "src/inspect/journal_part.h"
#include "src/inspect/memory_part.h"
#include "src/inspect/read_only_files_for_test.h"
#include "src/journal/embedded_journal.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"
#include "src/partition/local_store.h"
#include "tests/sim/env/world.h"

namespace tidemark::inspect {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Json = nlohmann::json;
using Files = std::map<std::string, std::string>;  // content by path below the root

// Which partitions started warm.
class WaySink : public LogSink {
 public:
  WaySink() { SetLogSink(this); }
  ~WaySink() override { SetLogSink(nullptr); }
  void Write(LogLevel, const char*, int, absl::string_view message,
             absl::Span<const LogField> fields) override {
    if (message != "partition starts") return;
    std::string name;
    bool is_warm = false;
    for (const LogField& field : fields) {
      const auto* text = absl::get_if<absl::string_view>(&field.value);
      if (field.name == "partition") name = std::string(*text);
      if (field.name == "way") is_warm = *text == "warm";
    }
    if (is_warm) warm.insert(name);
  }
  std::set<std::string> warm;
};

// One process's doors and its store, on the machine's files under `root`.
class Process {
 public:
  explicit Process(const std::string& root, uint64_t seed = 1, uint64_t segment_bytes = 4096)
      : root_(root), segment_bytes_(segment_bytes), world_(seed) {}
  ~Process() { Stop(); }

  absl::Status Start() {
    absl::StatusOr<std::unique_ptr<TmpfsMapper>> memory = TmpfsMapper::Lock(root_ + "/memory");
    if (!memory.ok()) return memory.status();
    memory_ = *std::move(memory);
    journal_executor_ = world_.NewExecutor("journal");
    journal::EmbeddedJournalOptions journal;
    journal.directory = root_ + "/data/journal";
    journal.segment_bytes = segment_bytes_;
    journal.file_system = &files_;
    journal.clock = &world_.clock();
    journal.random = &world_.random();
    journal.executor = journal_executor_.get();
    journal.runner = &runner_;
    journal.unsafe_no_sync = true;
    auto opened = journal::EmbeddedJournal::Open(std::move(journal));
    if (!opened.ok()) return opened.status();
    journal_ = *std::move(opened);
    kvstore::RocksCheckpointOptions checkpoints;
    checkpoints.directory = root_ + "/data/checkpoints";
    checkpoints.store = journal_->store_id();
    checkpoints.file_system = &files_;
    checkpoints.may_begin_anew = journal_->KnownFirst() == Position(1);
    auto store = kvstore::OpenRocksCheckpointStore(checkpoints);
    if (!store.ok()) return store.status();
    checkpoints_ = *std::move(store);
    return StartStore();
  }
  void Stop() {
    if (journal_ == nullptr) return;
    if (store_ != nullptr) store_->Stop();
    world_.RunFor(absl::Milliseconds(100));
    journal_->Stop();
    world_.RunFor(absl::Milliseconds(100));
    if (executor_ != nullptr) world_.Kill(*executor_);
    store_ = nullptr;
    checkpoints_ = nullptr;
    journal_ = nullptr;
    world_.Kill(*journal_executor_);
  }

  void Put(const std::string& key, const std::string& value) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value(value);
    bool done = false;
    store_->router().Put({}, request, [&](auto reply) {
      EXPECT_TRUE(reply.ok()) << reply.status();
      done = true;
    });
    EXPECT_TRUE(world_.RunUntil([&] { return done; }, absl::Minutes(1)));
  }
  void Delete(const std::string& key) {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(key);
    bool done = false;
    store_->router().DeleteRange({}, request, [&](auto reply) {
      EXPECT_TRUE(reply.ok()) << reply.status();
      done = true;
    });
    EXPECT_TRUE(world_.RunUntil([&] { return done; }, absl::Minutes(1)));
  }
  void Grant(int64_t id) {
    bool done = false;
    store_->router().LeaseGrant(id, 1000, [&](auto) { done = true; });
    EXPECT_TRUE(world_.RunUntil([&] { return done; }, absl::Minutes(1)));
  }
  void MakeCheckpoints() {
    const partition::CheckpointStats& stats = store_->checkpoint_stats();
    for (int i = 0; i < 2; ++i) {
      const int64_t rounds = stats.rounds;
      Put("checkpoint", "now");
      EXPECT_TRUE(world_.RunUntil([&] { return stats.rounds > rounds; }, absl::Minutes(30)));
    }
  }

 private:
  absl::Status StartStore() {
    executor_ = world_.NewExecutor("store");
    partition::LocalStoreDoors doors;
    doors.executors = {executor_.get()};
    doors.clock = &world_.clock();
    doors.random = &world_.random();
    doors.journal = journal_.get();
    doors.memory = memory_.get();
    doors.checkpoints = checkpoints_.get();
    doors.checkpoint_disk = &runner_;
    doors.journal_bytes = [this] { return journal_->stats().log.size_bytes.load(); };
    partition::LocalStoreOptions options;
    options.map = *partition::PartitionMap::Parse("pods=/pods/;nodes=/nodes/");
    options.segment_size_bytes = 4096;
    options.identity = journal_->store_id();
    options.history = journal_->history();
    options.checkpoints.interval = absl::Seconds(2);
    store_ = partition::LocalStore::Create(options, doors);
    std::optional<absl::Status> started;
    store_->Start([&started](absl::Status status) { started = std::move(status); });
    EXPECT_TRUE(world_.RunUntil([&] { return started.has_value(); }, absl::Minutes(5)));
    return started.value_or(absl::DeadlineExceededError("start"));
  }

  const std::string root_;
  const uint64_t segment_bytes_;
  sim::World world_;
  PosixFileSystem files_;
  InlineBlockingRunner runner_;
  std::unique_ptr<TmpfsMapper> memory_;
  std::unique_ptr<Executor> journal_executor_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<journal::EmbeddedJournal> journal_;
  std::unique_ptr<kvstore::CheckpointStore> checkpoints_;
  std::unique_ptr<partition::LocalStore> store_;
};

std::string NameOf(uint32_t partition) {
  return partition == 0 ? "rest" : partition == 1 ? "pods" : "nodes";
}

class StorePartsTest : public ::testing::Test {
 protected:
  // The files of a stopped store: some keys in every partition, checkpoints, a few more keys.
  // With more than 20 puts the journal is trimmed.
  Files Make(int puts, bool with_checkpoints = true, uint64_t seed = 1) {
    Reset({});
    {
      Process process(root(), seed, puts > 20 ? 4096 : 1 << 17);
      const absl::Status started = process.Start();
      EXPECT_TRUE(started.ok()) << started;
      process.Grant(7);
      for (int i = 0; i < puts; ++i) {
        const std::string n = std::to_string(i % 5);
        process.Put((i % 3 == 0   ? "/pods/"
                     : i % 3 == 1 ? "/nodes/"
                                  : "/other/") +
                        n,
                    std::string(static_cast<size_t>(i), 'v'));
        if (i % 7 == 6) process.Delete("/pods/0"), process.Put("/pods/0", "again");
      }
      process.Delete("/pods/0");
      if (with_checkpoints) process.MakeCheckpoints();
      process.Put("/pods/newest", "value");
    }
    EXPECT_EQ(FactsOf(Inspect(), 0)["first_position"] > 1, with_checkpoints && puts > 20);
    return Read();
  }
  std::string root() const { return directory_.path() + "/root"; }

  void Reset(const Files& files) {
    fs::remove_all(root());
    fs::create_directories(root());
    for (const auto& [path, content] : files) {
      fs::create_directories(fs::path(root() + path).parent_path());
      std::ofstream(root() + path, std::ios::binary) << content;
    }
  }
  Files Read() const {
    Files files;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root())) {
      if (!entry.is_regular_file()) continue;
      std::ostringstream content;
      content << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      files[entry.path().string().substr(root().size())] = content.str();
    }
    return files;
  }

  Report Inspect() {
    ReadOnlyFiles files(files_);
    sim::World world(1);
    DirectoryFacts facts;
    std::vector<std::unique_ptr<Part>> parts;
    parts.push_back(MakeJournalPart(files, world.clock(), root() + "/data/journal", &facts));
    parts.push_back(MakeCheckpointPart(files, root() + "/data/checkpoints", &facts));
    parts.push_back(MakeMemoryPart(files, root() + "/memory", &facts));
    return InspectDataDir(files, {root() + "/data"}, parts);
  }

  // Puts the files there, inspects, starts, compares. The report, and whether it started.
  Report ExpectAgreement(const Files& files, const std::string& what, bool* started = nullptr) {
    Reset(files);
    const Report report = Inspect();
    EXPECT_TRUE(Read() == files) << what << ": inspection changed something";
    WaySink sink;
    Process process(root(), 5);
    const absl::Status status = process.Start();
    if (started != nullptr) *started = status.ok();
    EXPECT_EQ(report.verdict() == Verdict::kHealthy, status.ok()) << what << ": " << status << "\n"
                                                                  << RenderText(report);
    if (status.ok()) {
      std::set<std::string> adopted;
      const Json json = Json::parse(RenderJson(report));
      const Json facts = json["parts"]["memory"]["facts"];
      for (const Json& row : facts.value("partitions", Json::array())) {
        if (row["adopted"] == true) adopted.insert(NameOf(row["partition"]));
      }
      EXPECT_EQ(adopted, sink.warm) << what << "\n" << RenderText(report);
    }
    return report;
  }
  static Files Without(Files files, absl::string_view part) {
    std::erase_if(files, [&](const auto& file) { return absl::StrContains(file.first, part); });
    return files;
  }
  static Files Only(Files files, absl::string_view part) {
    std::erase_if(files, [&](const auto& file) { return !absl::StrContains(file.first, part); });
    return files;
  }
  static Json FactsOf(const Report& report, size_t part) { return report.parts.at(part).facts; }

  TemporaryDirectory directory_{fs::current_path().string()};
  PosixFileSystem files_;
};

TEST_F(StorePartsTest, AHealthyDirectoryIsDescribed) {
  const Files files = Make(60);
  const Report report = ExpectAgreement(files, "healthy");
  EXPECT_EQ(report.verdict(), Verdict::kHealthy) << RenderText(report);
  const Json checkpoints = FactsOf(report, 1);
  EXPECT_EQ(checkpoints["store"], FactsOf(report, 0)["store"]);
  ASSERT_EQ(checkpoints["partitions"].size(), 3);
  EXPECT_EQ(checkpoints["partition_map"], "partitions-v1;1=/pods/;2=/nodes/");
  const Json pods = checkpoints["partitions"][1];
  EXPECT_EQ(pods["partition"], 1);
  EXPECT_EQ(pods["checked"], "whole");
  EXPECT_EQ(pods["leases"], 1);
  EXPECT_EQ(pods["alarms"], 0);
  EXPECT_EQ(pods["live_keys"], 4);  // 0 was deleted
  EXPECT_EQ(pods["compact_revision"], -1);
  // 20 puts (i % 3 == 0), and around each of 8 deletions (i % 7 == 6) one put, and a last deletion.
  EXPECT_EQ(pods["records"], 20 + 8 + 8 + 1);
  EXPECT_GE(pods["position"].get<uint64_t>() + 1, FactsOf(report, 0)["first_position"]);
  const Json memory = FactsOf(report, 2);
  ASSERT_EQ(memory["partitions"].size(), 3);
  EXPECT_EQ(memory["partitions"][1]["adopted"], true);
  EXPECT_EQ(memory["partitions"][1]["live_keys"], 5);
  EXPECT_EQ(memory["partitions"][1]["records"], 38);
  EXPECT_EQ(memory["partitions"][1]["last_change"], FactsOf(report, 0)["last_revision"]);
  EXPECT_GE(memory["partitions"][1]["segments"], 1);
}

TEST_F(StorePartsTest, MissingParts) {
  const Files trimmed = Make(60);
  EXPECT_EQ(ExpectAgreement(Without(trimmed, "/memory/"), "cold").verdict(), Verdict::kHealthy);
  Report report = ExpectAgreement(Without(trimmed, "/checkpoints/"), "trimmed, no checkpoints");
  EXPECT_EQ(report.verdict(), Verdict::kDamaged);
  EXPECT_THAT(RenderText(report), HasSubstr("partition 2: there is no checkpoint"));
  report = ExpectAgreement(Without(trimmed, "/journal/"), "no journal");
  EXPECT_EQ(report.verdict(), Verdict::kDamaged);
  EXPECT_THAT(RenderText(report), HasSubstr("there is no journal"));
  const Files whole = Make(5);
  EXPECT_EQ(ExpectAgreement(Without(whole, "/checkpoints/"), "whole").verdict(), Verdict::kHealthy);
  EXPECT_EQ(ExpectAgreement(Only(whole, "/journal/"), "journal only").verdict(), Verdict::kHealthy);
  const Files fresh = Make(5, /*with_checkpoints=*/false);
  EXPECT_EQ(ExpectAgreement(fresh, "no checkpoint yet").verdict(), Verdict::kHealthy);
}

TEST_F(StorePartsTest, EveryMissingFileOfTheCheckpoints) {
  for (const int puts : {5, 60}) {
    const Files good = Without(Make(puts), "/memory/");
    for (const auto& [path, content] : Only(good, "/checkpoints/")) {
      ExpectAgreement(Without(good, path), absl::StrCat(puts, ": without ", path));
    }
  }
}

// Cold starts: they read the checkpoints.
TEST_F(StorePartsTest, FlippedBitsInCheckpoints) {
  int damaged = 0;
  for (const int puts : {5, 60}) {
    const Files good = Without(Make(puts), "/memory/");
    for (const auto& [path, content] : Only(good, "/checkpoints/rocksdb/")) {
      const size_t step =
          std::max<size_t>(1, content.size() / (absl::EndsWith(path, ".sst") ? 9 : 5));
      for (size_t offset = step / 3; offset < content.size(); offset += step) {
        Files bad = good;
        bad[path][offset] ^= static_cast<char>(1 << (offset % 8));
        const Report report =
            ExpectAgreement(bad, absl::StrCat(puts, ": ", path, " flipped at ", offset));
        damaged += report.verdict() == Verdict::kDamaged ? 1 : 0;
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GT(damaged, 20);
}

TEST_F(StorePartsTest, PartsOfDifferentPlaces) {
  const Files here = Make(60);
  const Files there = Make(60, true, /*seed=*/9);
  Files mixed = Without(here, "/checkpoints/");
  mixed.merge(Only(there, "/checkpoints/"));
  Report report = ExpectAgreement(mixed, "another's checkpoints");
  EXPECT_EQ(report.verdict(), Verdict::kDamaged);
  EXPECT_THAT(RenderText(report), HasSubstr("belong to the journal"));
  EXPECT_EQ(FactsOf(report, 1)["partitions"].size(), 3);  // described nevertheless
  mixed = Without(here, "/memory/");
  mixed.merge(Only(there, "/memory/"));
  report = ExpectAgreement(mixed, "another's memory");
  EXPECT_EQ(report.verdict(), Verdict::kHealthy) << RenderText(report);
  EXPECT_THAT(RenderText(report), HasSubstr("segments of another store"));
}

// Two copies of one directory that went on apart, with the memory of the other.
TEST_F(StorePartsTest, PartsOfDifferentHistories) {
  const Files common = Make(60);
  Files here;
  Files there;
  for (const auto& [seed, files] : {std::pair(2, &here), std::pair(3, &there)}) {
    Reset(common);
    {
      Process process(root(), seed);
      ASSERT_TRUE(process.Start().ok());
      process.Put("/pods/1", std::string(90, 'w'));
    }
    *files = Read();
  }
  ExpectAgreement(here, "its own memory");
  Files mixed = Without(here, "/memory/");
  mixed.merge(Only(there, "/memory/"));
  Report report = ExpectAgreement(mixed, "memory of another history");
  EXPECT_THAT(RenderText(report), HasSubstr("another history of this journal"));
  ASSERT_TRUE(here.contains("/data/journal/history"));
  here["/data/journal/history"][30] ^= 1;
  report = ExpectAgreement(here, "a damaged history");
  EXPECT_EQ(report.verdict(), Verdict::kHealthy) << RenderText(report);
  EXPECT_THAT(RenderText(report), HasSubstr("does not use memory"));
}

// An older copy of one part beside newer others.
TEST_F(StorePartsTest, PartsOfDifferentTimes) {
  const Files before = Make(60);
  Reset(before);
  {
    Process process(root(), 2);
    ASSERT_TRUE(process.Start().ok());
    for (int i = 0; i < 60; ++i) process.Put("/pods/" + std::to_string(i), std::string(90, 'w'));
    process.MakeCheckpoints();
  }
  const Files after = Read();
  for (const char* part : {"/journal/", "/checkpoints/", "/memory/"}) {
    Files mixed = Without(after, part);
    mixed.merge(Only(before, part));
    const Report report = ExpectAgreement(mixed, absl::StrCat("older ", part));
    EXPECT_EQ(report.verdict(),
              part == std::string("/memory/") ? Verdict::kHealthy : Verdict::kDamaged)
        << RenderText(report);
  }
}

// Warm starts, or cold ones: nothing that memory holds is ever damage.
TEST_F(StorePartsTest, DamagedMemoryMeansACold) {
  const Files good = Make(40);
  int refused = 0;
  for (const auto& [path, content] : Only(good, ".region")) {
    std::vector<size_t> offsets = {0, 9, 30, 37, 41, 45, 60, 64, 70, 500, 2000};
    for (const size_t offset : offsets) {
      Files bad = good;
      bad[path][offset % content.size()] ^= 4;
      const Report report = ExpectAgreement(bad, absl::StrCat(path, " flipped at ", offset));
      EXPECT_EQ(report.verdict(), Verdict::kHealthy) << RenderText(report);
      refused += report.parts[2].findings.empty() ? 0 : 1;
      if (HasFailure()) return;
    }
    ExpectAgreement(Without(good, path), absl::StrCat("without ", path));
    Files cut = good;
    cut[path].resize(content.size() / 2);
    ExpectAgreement(cut, absl::StrCat(path, " cut"));
    cut[path].clear();
    ExpectAgreement(cut, absl::StrCat(path, " empty"));
  }
  EXPECT_GT(refused, 30);
}

TEST_F(StorePartsTest, InUseIsLeftAlone) {
  Reset({});
  Process process(root());
  ASSERT_TRUE(process.Start().ok());
  const Report report = Inspect();
  EXPECT_TRUE(report.is_in_use);
  EXPECT_EQ(report.verdict(), Verdict::kUnknown);
  EXPECT_TRUE(report.parts.empty());
}

}  // namespace
}  // namespace tidemark::inspect
