// Who this member is: ids, name and the data directory they live in.
//
// Hides the identity file (<data-dir>/identity.json, written once, atomically), etcd's formula for
// ids (contract 6), and the checks of a data directory before anything is started from it.
// Used by one thread.
//
// A start that ends while a fresh directory is set up, by a crash or because something is wrong
// with its flags, leaves either no identity (the next start is fresh again, with the same ids for
// the same flags) or a whole one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "src/base/file_system.h"
#include "src/server/options/options.h"

namespace tidemark::server {

// etcd's: first 8 bytes of SHA-1(sorted peer URLs, joined, then the cluster token).
uint64_t MemberId(std::vector<std::string> peer_urls, const std::string& cluster_token);
// First 8 bytes of SHA-1(member ids, big-endian, ascending).
uint64_t ClusterId(std::vector<uint64_t> member_ids);

struct Identity {
  uint64_t member_id = 0;
  uint64_t cluster_id = 0;
  std::vector<std::string> peer_urls;
};

// What the journal keeps of it, to notice that one of the two is of another node.
std::string OwnerText(const Identity& identity);

struct OpenedDataDir {
  Identity identity;
  bool fresh = false;              // `identity` is what the flags ask for, and not kept yet
  std::unique_ptr<FileLock> lock;  // held as long as the node runs
};

// Without creating or locking anything; NotFound when there is none.
absl::StatusOr<Identity> ReadIdentity(FileSystem& files, const std::string& path);
std::string IdentityPath(const std::string& data_dir);
// FailedPrecondition for a directory that holds an etcd member's data.
absl::Status CheckNotEtcds(FileSystem& files, const std::string& data_dir);

// Creates or opens options.data_dir. Errors say what an operator can do.
absl::StatusOr<OpenedDataDir> OpenDataDir(FileSystem& files, const Options& options);
// Of a fresh directory, once nothing that the flags say can fail any more: from then on the initial
// flags do not count.
absl::Status KeepIdentity(FileSystem& files, const std::string& data_dir, const Identity& identity);

}  // namespace tidemark::server
