// identity.json with any content: who the member is, or a refusal that names the file.
#include "absl/strings/match.h"
#include "src/server/app/identity.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/sim/env/seeded_random.h"
#include "tests/sim/env/sim_disk.h"

namespace tidemark::server {

FUZZ_TARGET(identity) {
  sim::SeededRandom random(1);
  sim::SimDisk disk(random);
  CHECK(disk.CreateDirectories("/data").ok());
  const std::string path = IdentityPath("/data");
  auto file = disk.Open(path, OpenMode::kCreateExclusive);
  CHECK(file.ok());
  if (!input.empty()) CHECK((*file)->WriteAt(0, {input}).ok());
  absl::StatusOr<Identity> identity = ReadIdentity(disk, path);
  if (identity.ok()) return;
  CHECK(absl::IsDataLoss(identity.status()) || absl::IsFailedPrecondition(identity.status()));
  CHECK(absl::StrContains(identity.status().message(), path));
}

}  // namespace tidemark::server
