#include "src/server/app/identity.h"

#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::server {
namespace {

constexpr int kFormat = 1;

uint64_t FirstBytesOfSha1(const std::string& text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size_bytes = 0;
  CHECK(EVP_Digest(text.data(), text.size(), digest, &size_bytes, EVP_sha1(), nullptr) == 1);
  uint64_t id = 0;
  for (int i = 0; i < 8; ++i) id = id << 8 | digest[i];
  return id;
}

Identity FreshIdentity(const Options& options) {
  Identity identity;
  for (const Url& url : options.initial_advertise_peer_urls) identity.peer_urls.push_back(url.text);
  identity.member_id = MemberId(identity.peer_urls, options.initial_cluster_token);
  identity.cluster_id = ClusterId({identity.member_id});
  return identity;
}

std::string Hex(uint64_t id) { return absl::StrCat(absl::Hex(id)); }

absl::Status WriteIdentity(FileSystem& files, const std::string& data_dir,
                           const Identity& identity) {
  nlohmann::ordered_json json = {{"format", kFormat},
                                 {"member-id", Hex(identity.member_id)},
                                 {"cluster-id", Hex(identity.cluster_id)},
                                 {"peer-urls", identity.peer_urls}};
  std::string text = json.dump(2) + "\n";
  std::string temporary = absl::StrCat(data_dir, "/identity.json.tmp");
  if (files.Exists(temporary)) {
    if (absl::Status s = files.Remove(temporary); !s.ok()) return s;
  }
  absl::StatusOr<std::unique_ptr<File>> file = files.Open(temporary, OpenMode::kCreateExclusive);
  if (!file.ok()) return file.status();
  if (absl::Status s = (*file)->WriteAt(0, {absl::string_view(text)}); !s.ok()) return s;
  if (absl::Status s = (*file)->SyncData(); !s.ok()) return s;
  file->reset();
  if (absl::Status s = files.Rename(temporary, IdentityPath(data_dir)); !s.ok()) {
    return s;
  }
  return files.SyncDirectory(data_dir);
}

}  // namespace

absl::StatusOr<Identity> ReadIdentity(FileSystem& files, const std::string& path) {
  absl::StatusOr<std::unique_ptr<File>> file = files.Open(path, OpenMode::kReadOnly);
  if (!file.ok()) return file.status();
  absl::StatusOr<std::string> text = (*file)->ReadAt(0, 1 << 20);
  if (!text.ok()) return text.status();
  auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const absl::Status broken = absl::DataLossError(absl::StrCat(
      path, " is damaged. Restore it from a copy; the log of each start names the ids"));
  if (!json.is_object() || !json.contains("format") || !json["format"].is_number_integer()) {
    return broken;
  }
  if (json["format"].get<int64_t>() > kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " has format ", json["format"].get<int64_t>(),
                     ", written by a newer Tidemark; this one knows format ", kFormat));
  }
  Identity identity;
  auto id = [&](const char* key, uint64_t* out) {
    return json.contains(key) && json[key].is_string() &&
           absl::SimpleHexAtoi(json[key].get<std::string>(), out);
  };
  if (!id("member-id", &identity.member_id) || !id("cluster-id", &identity.cluster_id)) {
    return broken;
  }
  if (json.contains("peer-urls") && json["peer-urls"].is_array()) {
    for (const auto& url : json["peer-urls"]) {
      if (!url.is_string()) return broken;
      identity.peer_urls.push_back(url.get<std::string>());
    }
  }
  return identity;
}

std::string OwnerText(const Identity& identity) {
  return absl::StrCat("member ", Hex(identity.member_id), " of cluster ", Hex(identity.cluster_id));
}

std::string IdentityPath(const std::string& data_dir) { return data_dir + "/identity.json"; }

absl::Status CheckNotEtcds(FileSystem& files, const std::string& data_dir) {
  for (const char* foreign : {"/member/wal", "/member/snap"}) {
    if (files.Exists(data_dir + foreign)) {
      return absl::FailedPreconditionError(
          absl::StrCat("data directory ", data_dir,
                       " holds an etcd member's data, which Tidemark cannot read; use another "
                       "--data-dir"));
    }
  }
  return absl::OkStatus();
}

uint64_t MemberId(std::vector<std::string> peer_urls, const std::string& cluster_token) {
  std::sort(peer_urls.begin(), peer_urls.end());
  std::string text;
  for (const std::string& url : peer_urls) text += url;
  return FirstBytesOfSha1(text + cluster_token);
}

uint64_t ClusterId(std::vector<uint64_t> member_ids) {
  std::sort(member_ids.begin(), member_ids.end());
  std::string text;
  for (uint64_t id : member_ids) {
    for (int shift = 56; shift >= 0; shift -= 8) text.push_back(static_cast<char>(id >> shift));
  }
  return FirstBytesOfSha1(text);
}

absl::StatusOr<OpenedDataDir> OpenDataDir(FileSystem& files, const Options& options) {
  const std::string& dir = options.data_dir;
  auto explain = [&dir](const absl::Status& status) {
    return absl::Status(status.code(),
                        absl::StrCat("data directory ", dir, ": ", status.message()));
  };
  if (absl::Status s = CheckNotEtcds(files, dir); !s.ok()) return s;
  if (absl::Status s = files.CreateDirectories(dir); !s.ok()) return explain(s);
  OpenedDataDir opened;
  absl::StatusOr<std::unique_ptr<FileLock>> lock = files.Lock(dir + "/LOCK");
  if (!lock.ok()) return explain(lock.status());
  opened.lock = *std::move(lock);
  std::string path = IdentityPath(dir);
  if (files.Exists(path)) {
    absl::StatusOr<Identity> identity = ReadIdentity(files, path);
    if (!identity.ok()) return explain(identity.status());
    opened.identity = *std::move(identity);
    return opened;
  }
  if (absl::Status s = CheckInitialCluster(options); !s.ok()) return s;
  opened.fresh = true;
  opened.identity = FreshIdentity(options);
  return opened;
}

absl::Status KeepIdentity(FileSystem& files, const std::string& data_dir,
                          const Identity& identity) {
  absl::Status status = WriteIdentity(files, data_dir, identity);
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat("data directory ", data_dir, ": ", status.message()));
}

}  // namespace tidemark::server
