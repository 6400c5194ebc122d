// The journal's small files: FORMAT, term, history and snapshot with any content.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "src/base/crc32c.h"
#include "src/base/little_endian.h"
#include "src/journal/data_directory.h"
#include "src/journal/durable_file.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/sim/env/seeded_random.h"
#include "tests/sim/env/sim_disk.h"

namespace tidemark::journal {
namespace {

constexpr char kDirectory[] = "/journal";
constexpr uint32_t kTermMagic = 0x544A4D54;
constexpr uint32_t kHistoryMagic = 0x484A4D54;
constexpr uint32_t kSnapshotMagic = 0x4E4A4D54;

void Write(FileSystem& disk, absl::string_view name, absl::string_view content) {
  auto file = disk.Open(absl::StrCat(kDirectory, "/", name), OpenMode::kCreateExclusive);
  CHECK(file.ok());
  if (!content.empty()) CHECK((*file)->WriteAt(0, {content}).ok());
}

// As it came, or past the checksum that no fuzzer guesses.
std::string Wrapped(bool repair, uint32_t magic, absl::string_view content) {
  return repair ? WrapContent(magic, content) : std::string(content);
}

std::string Format(bool repair, absl::string_view text) {
  if (!repair) return std::string(text);
  return absl::StrCat(text, absl::StrFormat("crc32c %08x\n", Crc32c(text)));
}

}  // namespace

FUZZ_TARGET(data_directory) {
  fuzz::Input in(input);
  const uint8_t repaired = in.Byte();
  const absl::string_view format = in.Text();
  const absl::string_view term = in.Text();
  sim::SeededRandom random(1);
  sim::SimDisk disk(random);
  CHECK(disk.CreateDirectories(kDirectory).ok());
  Write(disk, "FORMAT", Format((repaired & 1) != 0, format));
  Write(disk, "term", Wrapped((repaired & 2) != 0, kTermMagic, term));
  // Snapshot's content serves as history's, too.
  Write(disk, "snapshot", Wrapped((repaired & 4) != 0, kSnapshotMagic, in.rest()));
  Write(disk, "history", Wrapped((repaired & 4) != 0, kHistoryMagic, in.rest()));

  auto directory = DataDirectory::Open(disk, kDirectory, random);
  if (!directory.ok()) return;
  auto loaded_term = (*directory)->LoadTerm();
  auto snapshot = (*directory)->LoadSnapshot();
  // What was understood is what is written again.
  if (loaded_term.ok()) {
    CHECK(loaded_term->has_value());
    CHECK((*directory)->StoreTerm(**loaded_term).ok());
    CHECK(**(*directory)->LoadTerm() == **loaded_term);
  }
  if (snapshot.ok()) {
    CHECK(snapshot->has_value());
    CHECK((*directory)->StoreSnapshot(**snapshot).ok());
    auto again = (*directory)->LoadSnapshot();
    CHECK(again.ok() && (*again)->position == (*snapshot)->position);
    CHECK((*again)->state == (*snapshot)->state);
  }
  const auto history = (*directory)->LoadHistory();
  if (history.ok()) {
    CHECK((*directory)->StoreHistory(*history).ok());
    CHECK(*(*directory)->LoadHistory() == *history);
  }
  const StoreId store = (*directory)->store();
  directory->reset();
  auto again = DataDirectory::Open(disk, kDirectory, random);
  CHECK(again.ok() && (*again)->store() == store);
}

}  // namespace tidemark::journal
