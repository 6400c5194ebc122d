// A bad disk under a real server process: the control block that the test and a library preloaded
// into the server (disk_shim.cc) share.
//
// Hides that it is a file that both have mapped, named by kControlVariable. The test writes, the
// server's calls read; every field may change at any time.
// Only files below the directory in kUnderVariable are concerned.
#pragma once

#include <atomic>
#include <cstdint>

namespace tidemark::process {

inline constexpr char kControlVariable[] = "TIDEMARK_DISK_SHIM";
inline constexpr char kUnderVariable[] = "TIDEMARK_DISK_SHIM_UNDER";

struct DiskControl {
  enum Fault : int32_t {
    kNone = 0,
    kSlow = 1,        // each write and each sync takes delay_ms longer
    kShortWrite = 2,  // a write of several bytes writes the first half of them
    kFailSync = 3,    // EIO
    kFull = 4,        // ENOSPC for what was not reserved before
    kFullCopies = 6,  // ENOSPC for every write, as on a full file system that copies on write
    kReadOnly = 5,    // EROFS from whatever would change a file or a directory
  };
  std::atomic<int32_t> fault{kNone};
  std::atomic<int32_t> delay_ms{0};
  std::atomic<int64_t> hits{0};  // calls that were tampered with
};

}  // namespace tidemark::process
