#include "tests/process/http_get.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::process {

std::string HttpGet(const std::string& endpoint, const std::string& path) {
  int port = 0;
  CHECK(absl::SimpleAtoi(endpoint.substr(endpoint.rfind(':') + 1), &port));
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  timeval limit{60, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  std::string response;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    // 1.0: the body is what comes until the server closes.
    std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\nHost: ", endpoint, "\r\n\r\n");
    CHECK(send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size()));
    char buffer[65536];
    for (ssize_t got = 0; (got = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
      response.append(buffer, static_cast<size_t>(got));
    }
  }
  close(fd);
  size_t header_end = response.find("\r\n\r\n");
  return header_end == std::string::npos ? "" : response.substr(header_end + 4);
}

}  // namespace tidemark::process
