// Small texts that HTTP/1.1 and HTTP/2 share.
//
// Pure functions.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "src/server/rpc.h"

namespace tidemark::server {

// "Not Found"; "Status" for codes nobody here uses.
absl::string_view ReasonPhrase(int status);
// A plain-text answer "404 Not Found".
HttpResponse HttpError(int status);
// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string HttpDate(absl::Time time);
// "/path?query" -> "/path", "query"
void SplitTarget(absl::string_view target, std::string& path, std::string& query);

}  // namespace tidemark::server
