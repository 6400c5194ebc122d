#include "src/kvstore/checkpoint/table_tail.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "src/base/crc32c.h"
#include "src/base/little_endian.h"

namespace tidemark::kvstore {
namespace {

// Checksum type, two handles padded to 40 bytes, format version, magic.
constexpr size_t kFooterBytes = 53;
constexpr uint64_t kMagic = 0x88e241b785f4cff7;
constexpr char kCrc32cType = 1;
constexpr size_t kTrailerBytes = 5;  // compression type, checksum
constexpr uint64_t kBlockBytesMax = uint64_t{4} << 20;
constexpr char kPropertiesName[] = "rocksdb.properties";

struct Handle {
  uint64_t offset = 0;
  uint64_t size = 0;
};

std::optional<uint64_t> TakeVarint(absl::string_view* bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes->empty(); shift += 7) {
    uint8_t byte = static_cast<uint8_t>(bytes->front());
    bytes->remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<Handle> TakeHandle(absl::string_view* bytes) {
  std::optional<uint64_t> offset = TakeVarint(bytes);
  std::optional<uint64_t> size = offset.has_value() ? TakeVarint(bytes) : std::nullopt;
  if (!size.has_value()) return std::nullopt;
  return Handle{*offset, *size};
}

absl::Status Damage(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("the table's ", what, " is damaged"));
}

// RocksDB stores CRCs turned round and shifted, since it computes CRCs over data with CRCs in it.
uint32_t Unmask(uint32_t masked) {
  uint32_t turned = masked - 0xa282ead8u;
  return turned << 15 | turned >> 17;
}

absl::StatusOr<std::string> ReadBlock(uint64_t file_bytes, const Handle& handle,
                                      absl::string_view what, ReadTableBytes read) {
  if (handle.size > kBlockBytesMax || handle.offset > file_bytes ||
      handle.size + kTrailerBytes > file_bytes - handle.offset) {
    return Damage(what);
  }
  absl::StatusOr<std::string> block = read(handle.offset, handle.size + kTrailerBytes);
  if (!block.ok()) return block;
  absl::string_view covered = absl::string_view(*block).substr(0, handle.size + 1);
  if (Crc32c(covered) != Unmask(LoadLittle<uint32_t>(block->data() + handle.size + 1))) {
    return Damage(what);
  }
  block->resize(handle.size);
  return block;
}

std::optional<Handle> FindProperties(absl::string_view meta_index) {
  // Entries, then restart points, which nobody needs who reads all entries: none shares a prefix.
  while (true) {
    std::optional<uint64_t> shared = TakeVarint(&meta_index);
    std::optional<uint64_t> key_bytes = TakeVarint(&meta_index);
    std::optional<uint64_t> value_bytes = TakeVarint(&meta_index);
    if (!value_bytes.has_value() || *shared != 0 || *key_bytes > meta_index.size() ||
        *value_bytes > meta_index.size() - *key_bytes) {
      return std::nullopt;
    }
    absl::string_view key = meta_index.substr(0, *key_bytes);
    absl::string_view value = meta_index.substr(*key_bytes, *value_bytes);
    if (key == kPropertiesName) return TakeHandle(&value);
    meta_index.remove_prefix(*key_bytes + *value_bytes);
  }
}

}  // namespace

absl::Status CheckTableTail(uint64_t file_bytes, ReadTableBytes read) {
  if (file_bytes < kFooterBytes) return Damage("footer");
  absl::StatusOr<std::string> footer = read(file_bytes - kFooterBytes, kFooterBytes);
  if (!footer.ok()) return footer.status();
  if ((*footer)[0] != kCrc32cType ||
      LoadLittle<uint32_t>(footer->data() + kFooterBytes - 12) != kTableFormatVersion ||
      LoadLittle<uint64_t>(footer->data() + kFooterBytes - 8) != kMagic) {
    return Damage("footer (or another program wrote it, or a newer tidemark)");
  }
  absl::string_view handles = absl::string_view(*footer).substr(1, 40);
  std::optional<Handle> handle = TakeHandle(&handles);
  if (!handle.has_value()) return Damage("footer");
  absl::StatusOr<std::string> meta_index = ReadBlock(file_bytes, *handle, "meta index", read);
  if (!meta_index.ok()) return meta_index.status();
  handle = FindProperties(*meta_index);
  if (!handle.has_value()) return Damage("meta index");
  return ReadBlock(file_bytes, *handle, "properties", read).status();
}

}  // namespace tidemark::kvstore
