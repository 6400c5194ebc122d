// One plain HTTP request to a loopback port, for tests.
#pragma once

#include <string>

namespace tidemark::process {

// The response's body; empty when there is none. `endpoint` is "127.0.0.1:port".
std::string HttpGet(const std::string& endpoint, const std::string& path);

}  // namespace tidemark::process
