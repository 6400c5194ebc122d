#include "src/server/options/url.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace tidemark::server {
namespace {

absl::Status SplitHostPort(absl::string_view authority, Url& url) {
  absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("URL address does not have the form \"host:port\": ", url.text));
  absl::string_view host, port;
  if (absl::StartsWith(authority, "[")) {
    size_t close = authority.find(']');
    if (close == absl::string_view::npos) return bad;
    host = authority.substr(1, close - 1);
    absl::string_view rest = authority.substr(close + 1);
    if (!absl::StartsWith(rest, ":")) return bad;
    port = rest.substr(1);
  } else {
    size_t colon = authority.rfind(':');
    if (colon == absl::string_view::npos) return bad;
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
    if (absl::StrContains(host, ':')) return bad;
  }
  if (!absl::SimpleAtoi(port, &url.port) || url.port < 0 || url.port > 65535) return bad;
  url.host = std::string(host);
  return absl::OkStatus();
}

}  // namespace

bool IsIpLiteral(const std::string& host) {
  unsigned char buffer[sizeof(in6_addr)];
  std::string plain = host.substr(0, host.find('%'));
  return inet_pton(AF_INET, plain.c_str(), buffer) == 1 ||
         inet_pton(AF_INET6, plain.c_str(), buffer) == 1;
}

std::string Url::address() const {
  if (is_unix()) return path;
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]:", port)
                                      : absl::StrCat(host, ":", port);
}

absl::StatusOr<Url> ParseUrl(absl::string_view text) {
  Url url;
  url.text = std::string(absl::StripAsciiWhitespace(text));
  size_t colon = url.text.find("://");
  url.scheme = colon == std::string::npos ? "" : url.text.substr(0, colon);
  if (url.scheme != "http" && url.scheme != "https" && url.scheme != "unix" &&
      url.scheme != "unixs") {
    return absl::InvalidArgumentError(
        absl::StrCat("URL scheme must be http, https, unix, or unixs: ", url.text));
  }
  absl::string_view rest = absl::string_view(url.text).substr(colon + 3);
  if (url.is_unix()) {
    // unix://name:port makes a socket file "name:port" in the working directory.
    if (rest.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("URL must name a socket: ", url.text));
    }
    url.path = std::string(rest);
    return url;
  }
  size_t slash = rest.find_first_of("/?#");
  if (slash != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("URL must not contain a path: ", url.text));
  }
  if (absl::Status status = SplitHostPort(rest, url); !status.ok()) return status;
  return url;
}

absl::StatusOr<std::vector<Url>> ParseUrls(absl::string_view text) {
  std::vector<Url> urls;
  if (text.empty()) return urls;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    absl::StatusOr<Url> url = ParseUrl(part);
    if (!url.ok()) return url.status();
    urls.push_back(*std::move(url));
  }
  std::sort(urls.begin(), urls.end(), [](const Url& a, const Url& b) { return a.text < b.text; });
  return urls;
}

absl::Status CheckBindUrls(const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    if (url.is_unix() || url.host == "localhost" || IsIpLiteral(url.host)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("expected IP in URL for binding (", url.text, ")"));
  }
  return absl::OkStatus();
}

absl::Status CheckAdvertiseUrls(const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    if (url.is_unix() || !url.host.empty()) continue;
    return absl::InvalidArgumentError(absl::StrCat("unexpected empty host (", url.text, ")"));
  }
  return absl::OkStatus();
}

std::string JoinUrls(const std::vector<Url>& urls) {
  return absl::StrJoin(urls, ",",
                       [](std::string* out, const Url& url) { absl::StrAppend(out, url.text); });
}

}  // namespace tidemark::server
