// What --initial-cluster may say of a cluster of one.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "src/server/options/options.h"
#include "src/server/options/url.h"

namespace tidemark::server {
namespace {

// etcd resolves host names before it says that two lists differ. With one member nothing depends on
// it, and names may not resolve yet when it starts: such lists pass.
bool MayResolveAlike(const std::set<std::string>& a, const std::set<std::string>& b) {
  const auto has_name = [](const std::string& text) {
    const absl::StatusOr<Url> url = ParseUrl(text);
    return url.ok() && !url->is_unix() && url->host != "localhost" && !IsIpLiteral(url->host);
  };
  return a.size() == b.size() &&
         (std::any_of(a.begin(), a.end(), has_name) || std::any_of(b.begin(), b.end(), has_name));
}

}  // namespace

absl::Status CheckInitialCluster(const Options& o) {
  if (o.flags.Get("initial-cluster-state") == "existing") {
    return absl::InvalidArgumentError(
        "--initial-cluster-state=existing with an empty data directory would join a cluster, "
        "which this version of Tidemark cannot; use new");
  }
  const std::string text = o.flags.Get("initial-cluster");
  if (text.empty()) return absl::OkStatus();  // the default: this member alone
  std::map<std::string, std::set<std::string>> members;
  for (absl::string_view item : absl::StrSplit(text, ',')) {
    std::vector<std::string> parts = absl::StrSplit(item, absl::MaxSplits('=', 1));
    if (parts.size() != 2 || parts[0].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("error setting up initial cluster: --initial-cluster item \"", item,
                       "\" is not name=url"));
    }
    absl::StatusOr<Url> url = ParseUrl(parts[1]);
    if (!url.ok()) return url.status();
    members[std::string(absl::StripAsciiWhitespace(parts[0]))].insert(url->text);
  }
  auto self = members.find(o.name);
  if (self == members.end()) {
    return absl::InvalidArgumentError(absl::StrCat("couldn't find local name \"", o.name,
                                                   "\" in the initial cluster configuration"));
  }
  std::set<std::string> advertised;
  for (const Url& url : o.initial_advertise_peer_urls) advertised.insert(url.text);
  if (self->second != advertised && !MayResolveAlike(self->second, advertised)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--initial-cluster has other URLs for ", o.name,
        " than --initial-advertise-peer-urls=", JoinUrls(o.initial_advertise_peer_urls)));
  }
  if (members.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--initial-cluster names ", members.size(),
        " members: this version of Tidemark runs as a single node; name only this member"));
  }
  return absl::OkStatus();
}

}  // namespace tidemark::server
