// Lists of URLs: what is accepted reads back the same.
#include "src/server/options/url.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::server {

FUZZ_TARGET(url) {
  absl::StatusOr<std::vector<Url>> urls = ParseUrls(input);
  if (!urls.ok()) {
    CHECK(absl::IsInvalidArgument(urls.status()));
    return;
  }
  (void)CheckBindUrls(*urls);
  (void)CheckAdvertiseUrls(*urls);
  for (const Url& url : *urls) {
    CHECK(url.port >= 0 && url.port <= 65535);
    (void)url.address();
  }
  const std::string joined = JoinUrls(*urls);
  absl::StatusOr<std::vector<Url>> again = ParseUrls(joined);
  CHECK_MSG(again.ok(), joined);
  CHECK(JoinUrls(*again) == joined);
}

}  // namespace tidemark::server
