#include "src/base/tmpfs_mapper.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/posix_fd.h"
#include "src/base/posix_file_system.h"

namespace tidemark {
namespace {

constexpr absl::string_view kRegionSuffix = ".region";
constexpr absl::string_view kLockName = "lock";

class MappedRegion : public MemoryRegion {
 public:
  MappedRegion(char* data, size_t size_bytes) : data_(data), size_bytes_(size_bytes) {}
  ~MappedRegion() override { CHECK(::munmap(data_, size_bytes_) == 0); }
  char* data() override { return data_; }
  size_t size_bytes() const override { return size_bytes_; }

 private:
  char* const data_;
  const size_t size_bytes_;
};

class TmpfsRegion : public MappedRegion {
 public:
  TmpfsRegion(char* data, size_t size_bytes, std::string path, std::shared_ptr<FileLock> lock)
      : MappedRegion(data, size_bytes), path_(std::move(path)), lock_(std::move(lock)) {}
  ~TmpfsRegion() override { ::unlink(path_.c_str()); }

 private:
  const std::string path_;
  const std::shared_ptr<FileLock> lock_;
};

// Adds what was asked for: the size is what the operator has to act on.
absl::Status WithSize(const absl::Status& status, size_t size_bytes) {
  return absl::Status(status.code(), absl::StrCat("memory region of ", size_bytes,
                                                  " bytes: ", status.message()));
}

absl::StatusOr<char*> Map(int fd, int flags, size_t size_bytes, const std::string& name) {
  void* data = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (data != MAP_FAILED) return static_cast<char*>(data);
  const absl::Status status = ErrnoStatus("mmap", name, errno);
  return errno == ENOMEM ? absl::ResourceExhaustedError(status.message()) : status;
}

absl::StatusOr<char*> CreateAndMap(const std::string& path, size_t size_bytes) {
  absl::StatusOr<UniqueFd> fd = OpenFd(path, O_RDWR | O_CREAT | O_EXCL, "create");
  if (!fd.ok()) return fd.status();
  absl::Status reserved = PreallocateFd(fd->get(), size_bytes, path);
  absl::StatusOr<char*> data =
      reserved.ok() ? Map(fd->get(), MAP_SHARED, size_bytes, path) : std::move(reserved);
  if (!data.ok()) ::unlink(path.c_str());
  return data;
}

}  // namespace

TmpfsMapper::TmpfsMapper(std::string directory, std::shared_ptr<FileLock> lock)
    : directory_(std::move(directory)), lock_(std::move(lock)) {}

absl::StatusOr<std::unique_ptr<TmpfsMapper>> TmpfsMapper::Open(const std::string& directory) {
  PosixFileSystem files;
  if (absl::Status status = files.CreateDirectories(directory); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      files.Lock(absl::StrCat(directory, "/", kLockName));
  if (!lock.ok()) return lock.status();
  absl::StatusOr<std::vector<std::string>> names = files.List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!absl::EndsWith(name, kRegionSuffix)) continue;
    absl::Status status = files.Remove(absl::StrCat(directory, "/", name));
    if (!status.ok()) return status;
  }
  return std::unique_ptr<TmpfsMapper>(new TmpfsMapper(directory, *std::move(lock)));
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> TmpfsMapper::Create(const std::string& name,
                                                                  size_t size_bytes) {
  CHECK(size_bytes > 0);
  CHECK(!name.empty() && !absl::StrContains(name, "/"));
  std::string path = absl::StrCat(directory_, "/", name, kRegionSuffix);
  absl::StatusOr<char*> data = CreateAndMap(path, size_bytes);
  if (!data.ok()) return WithSize(data.status(), size_bytes);
  return std::make_unique<TmpfsRegion>(*data, size_bytes, std::move(path), lock_);
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> AnonymousMapper::Create(const std::string& name,
                                                                      size_t size_bytes) {
  CHECK(size_bytes > 0);
  absl::StatusOr<char*> data = Map(-1, MAP_PRIVATE | MAP_ANONYMOUS, size_bytes, name);
  if (!data.ok()) return WithSize(data.status(), size_bytes);
  return std::make_unique<MappedRegion>(*data, size_bytes);
}

}  // namespace tidemark
