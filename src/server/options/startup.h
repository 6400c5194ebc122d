// The decision at the very start: run with these options, or print something and exit.
//
// Hides the order in which command line, config file and environment are asked, the texts of
// --help and --version, and etcd's exit codes. Pure, but for the config file's reader.
#pragma once

#include <functional>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "src/server/options/options.h"

namespace tidemark::server {

struct ExitAtOnce {
  int code = 0;
  std::string out;  // for stdout
  std::string err;  // for stderr
};

using FileReader = std::function<absl::StatusOr<std::string>(const std::string& path)>;

std::variant<Options, ExitAtOnce> DecideStart(absl::Span<const std::string> arguments,
                                              absl::Span<const std::string> environment,
                                              const FileReader& read_file);

std::string UsageText();
std::string VersionText();

}  // namespace tidemark::server
