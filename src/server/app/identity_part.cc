#include "src/server/app/identity_part.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/server/app/identity.h"

namespace tidemark::server {
namespace {

using Kind = inspect::Finding::Kind;

class IdentityPart : public inspect::Part {
 public:
  IdentityPart(FileSystem& files, std::string data_dir, inspect::DirectoryFacts* facts)
      : files_(files), data_dir_(std::move(data_dir)), facts_(*facts) {}

  std::string lock_path() const override { return data_dir_ + "/LOCK"; }

  inspect::PartReport Inspect() override {
    inspect::PartReport report;
    report.name = "identity";
    if (absl::Status status = CheckNotEtcds(files_, data_dir_); !status.ok()) {
      report.Add(Kind::kUnknown, std::string(status.message()), data_dir_);
      return report;
    }
    const std::string path = IdentityPath(data_dir_);
    if (!files_.Exists(path)) {
      report.Add(Kind::kNote, "there is no identity: the next start makes one from its flags",
                 path);
      return report;
    }
    absl::StatusOr<Identity> identity = ReadIdentity(files_, path);
    if (!identity.ok()) {
      report.Add(absl::IsDataLoss(identity.status()) ? Kind::kDamage : Kind::kUnknown,
                 std::string(identity.status().message()), path);
      return report;
    }
    facts_.owner = OwnerText(*identity);
    report.facts["member_id"] = absl::StrCat(absl::Hex(identity->member_id));
    report.facts["cluster_id"] = absl::StrCat(absl::Hex(identity->cluster_id));
    report.facts["peer_urls"] = identity->peer_urls;
    return report;
  }

 private:
  FileSystem& files_;
  const std::string data_dir_;
  inspect::DirectoryFacts& facts_;
};

}  // namespace

std::unique_ptr<inspect::Part> MakeIdentityPart(FileSystem& files, std::string data_dir,
                                                inspect::DirectoryFacts* facts) {
  return std::make_unique<IdentityPart>(files, std::move(data_dir), facts);
}

}  // namespace tidemark::server
