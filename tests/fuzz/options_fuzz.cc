// The decision to start: command line, environment and config file of any content.
// Input: one argument per line, a line "--", one variable per line, a line "--", the config file.
#include "absl/strings/str_split.h"
#include "src/server/options/startup.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::server {

FUZZ_TARGET(options) {
  const std::vector<absl::string_view> parts = absl::StrSplit(input, absl::MaxSplits("\n--\n", 2));
  const std::vector<std::string> arguments = absl::StrSplit(parts[0], '\n', absl::SkipEmpty());
  const std::vector<std::string> environment =
      absl::StrSplit(parts.size() > 1 ? parts[1] : "", '\n', absl::SkipEmpty());
  const std::string file(parts.size() > 2 ? parts[2] : "");
  (void)ParseConfigFile(file);
  const auto decision = DecideStart(arguments, environment, [&](const std::string&) {
    return absl::StatusOr<std::string>(file);
  });
  if (const auto* exit = std::get_if<ExitAtOnce>(&decision)) {
    // Never ends without a word, and never well with a complaint.
    CHECK(!exit->out.empty() || !exit->err.empty());
    CHECK((exit->code == 0) == exit->err.empty());
    return;
  }
  const Options& options = std::get<Options>(decision);
  CHECK(!options.listen_client_urls.empty() && !options.advertise_client_urls.empty());
  CHECK(CheckBindUrls(options.listen_client_urls).ok());
  CHECK(!options.data_dir.empty());
  (void)options.min_lease_ttl_seconds();
  (void)options.request_timeout();
  (void)CheckInitialCluster(options);
}

}  // namespace tidemark::server
