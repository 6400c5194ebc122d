#include "src/base/tmpfs_mapper.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "src/base/check.h"
#include "src/base/posix_file_system.h"
#include "src/base/tmpfs_region_file.h"

namespace tidemark {
namespace {

constexpr absl::string_view kRegionSuffix = ".region";
constexpr absl::string_view kLockName = "lock";

class MappedRegion : public MemoryRegion {
 public:
  explicit MappedRegion(absl::Span<char> mapped) : mapped_(mapped) {}
  ~MappedRegion() override { Unmap(mapped_); }
  char* data() override { return mapped_.data(); }
  size_t size_bytes() const override { return mapped_.size(); }
  void Discard() override {}

 private:
  const absl::Span<char> mapped_;
};

class TmpfsRegion : public MemoryRegion {
 public:
  TmpfsRegion(absl::Span<char> mapped, std::string path, std::shared_ptr<FileLock> lock,
              std::shared_ptr<TmpfsSpace> space, std::shared_ptr<BlockingRunner> background)
      : mapped_(mapped),
        path_(std::move(path)),
        lock_(std::move(lock)),
        space_(std::move(space)),
        background_(std::move(background)) {
    space_->Refresh();
  }
  ~TmpfsRegion() override {
    background_->Run([mapped = mapped_, lock = lock_, space = space_] {
      Unmap(mapped);
      space->Refresh();
    });
  }
  char* data() override { return mapped_.data(); }
  size_t size_bytes() const override { return mapped_.size(); }
  // The name goes at once, so that a process that starts now does not take it for a leftover.
  void Discard() override { ::unlink(path_.c_str()); }

 private:
  const absl::Span<char> mapped_;
  const std::string path_;
  const std::shared_ptr<FileLock> lock_;
  const std::shared_ptr<TmpfsSpace> space_;
  const std::shared_ptr<BlockingRunner> background_;
};

// Adds what was asked for: the size is what the operator has to act on.
absl::Status WithSize(const absl::Status& status, size_t size_bytes) {
  return absl::Status(status.code(),
                      absl::StrCat("memory region of ", size_bytes, " bytes: ", status.message()));
}

std::vector<std::string> RegionNames(const std::vector<std::string>& files) {
  std::vector<std::string> names;
  for (absl::string_view name : files) {
    if (absl::ConsumeSuffix(&name, kRegionSuffix)) names.emplace_back(name);
  }
  return names;
}

}  // namespace

void TmpfsSpace::Refresh() {
  struct statvfs info {};
  if (::statvfs(directory_.c_str(), &info) != 0) return;
  total_bytes_ = uint64_t{info.f_blocks} * info.f_frsize;
  free_bytes_ = uint64_t{info.f_bavail} * info.f_frsize;
}

TmpfsMapper::TmpfsMapper(std::string directory, std::set<std::string> leftovers,
                         std::shared_ptr<FileLock> lock, std::shared_ptr<BlockingRunner> background)
    : directory_(std::move(directory)),
      lock_(std::move(lock)),
      space_(std::make_shared<TmpfsSpace>(directory_)),
      background_(std::move(background)),
      spare_(std::make_shared<TmpfsSpare>(directory_,
                                          [space = space_] { return space->Get().free_bytes; })),
      leftovers_(std::move(leftovers)) {}

std::string TmpfsMapper::PathOf(const std::string& name) const {
  CHECK(!name.empty() && !absl::StrContains(name, "/"));
  return absl::StrCat(directory_, "/", name, kRegionSuffix);
}

absl::StatusOr<std::unique_ptr<TmpfsMapper>> TmpfsMapper::Lock(
    const std::string& directory, std::shared_ptr<BlockingRunner> background) {
  PosixFileSystem files;
  if (absl::Status status = files.CreateDirectories(directory); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      files.Lock(absl::StrCat(directory, "/", kLockName));
  if (!lock.ok()) return lock.status();
  absl::StatusOr<std::vector<std::string>> names = files.List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!absl::EndsWith(name, TmpfsSpare::kSuffix)) continue;
    ::unlink(absl::StrCat(directory, "/", name).c_str());
  }
  const std::vector<std::string> regions = RegionNames(*names);
  return std::unique_ptr<TmpfsMapper>(
      new TmpfsMapper(directory, std::set<std::string>(regions.begin(), regions.end()),
                      *std::move(lock), std::move(background)));
}

void TmpfsMapper::Expect(size_t size_bytes) {
  expected_bytes_ = size_bytes;
  spare_->Make(size_bytes, *background_);
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> TmpfsMapper::Create(const std::string& name,
                                                                  size_t size_bytes) {
  CHECK(size_bytes > 0);
  std::string path = PathOf(name);
  absl::StatusOr<absl::Span<char>> mapped = spare_->Take(size_bytes, path);
  if (mapped->empty()) mapped = CreateRegionFile(path, size_bytes);
  if (!mapped.ok()) return WithSize(mapped.status(), size_bytes);
  if (size_bytes == expected_bytes_) spare_->Make(size_bytes, *background_);
  return std::make_unique<TmpfsRegion>(*mapped, std::move(path), lock_, space_, background_);
}

std::vector<std::string> TmpfsMapper::Leftovers() const {
  MutexLock lock(&mutex_);
  return {leftovers_.begin(), leftovers_.end()};
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> TmpfsMapper::Open(const std::string& name) {
  std::string path = PathOf(name);
  absl::StatusOr<absl::Span<char>> mapped = OpenRegionFile(path);
  if (!mapped.ok()) return mapped.status();
  MutexLock lock(&mutex_);
  leftovers_.erase(name);
  return std::make_unique<TmpfsRegion>(*mapped, std::move(path), lock_, space_, background_);
}

void TmpfsMapper::Remove(const std::string& name) {
  ::unlink(PathOf(name).c_str());
  MutexLock lock(&mutex_);
  leftovers_.erase(name);
}

absl::StatusOr<std::unique_ptr<TmpfsSnapshot>> TmpfsSnapshot::Look(const std::string& directory) {
  PosixFileSystem files;
  absl::StatusOr<std::vector<std::string>> names = files.List(directory);
  if (!names.ok()) return names.status();
  return std::unique_ptr<TmpfsSnapshot>(new TmpfsSnapshot(directory, RegionNames(*names)));
}

std::string TmpfsSnapshot::LockPath(const std::string& directory) {
  return absl::StrCat(directory, "/", kLockName);
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> TmpfsSnapshot::Create(const std::string& name,
                                                                    size_t size_bytes) {
  return AnonymousMapper().Create(name, size_bytes);
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> TmpfsSnapshot::Open(const std::string& name) {
  CHECK(!name.empty() && !absl::StrContains(name, "/"));
  absl::StatusOr<absl::Span<char>> mapped =
      CopyRegionFile(absl::StrCat(directory_, "/", name, kRegionSuffix));
  if (!mapped.ok()) return mapped.status();
  return std::make_unique<MappedRegion>(*mapped);
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> AnonymousMapper::Create(const std::string& name,
                                                                      size_t size_bytes) {
  CHECK(size_bytes > 0);
  absl::StatusOr<absl::Span<char>> mapped = MapAnonymous(size_bytes, name);
  if (!mapped.ok()) return WithSize(mapped.status(), size_bytes);
  return std::make_unique<MappedRegion>(*mapped);
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> AnonymousMapper::Open(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("anonymous memory keeps nothing: ", name));
}

void AnonymousMapper::Remove(const std::string&) {}

}  // namespace tidemark
