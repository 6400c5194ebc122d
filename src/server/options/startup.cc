#include "src/server/options/startup.h"

#include "absl/strings/str_cat.h"
#include "src/server/options/flag_table.h"
#include "src/server/options/version.h"

#ifndef TIDEMARK_GIT_SHA
#define TIDEMARK_GIT_SHA "unknown"
#endif

namespace tidemark::server {
namespace {

ExitAtOnce Refuse(absl::string_view message) {
  return ExitAtOnce{1, "", absl::StrCat("tidemark: ", message, "\n")};
}

std::variant<Options, ExitAtOnce> Build(FlagValues values, std::vector<std::string> warnings) {
  absl::StatusOr<Options> options = BuildOptions(std::move(values), std::move(warnings));
  if (!options.ok()) return Refuse(options.status().message());
  return *std::move(options);
}

absl::string_view EffectOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kIgnore:
    case Verdict::kIgnoreSilently:
      return " (no effect)";
    case Verdict::kRefuse:
      return " (refused when set)";
    case Verdict::kUse:
    case Verdict::kReplaced:
      return "";
  }
  return "";
}

}  // namespace

std::string UsageText() {
  std::string text =
      "Usage:\n\n"
      "  tidemark [flags]\n    Start a Tidemark server, a drop-in replacement of etcd.\n\n"
      "  tidemark inspect DATA_DIR\n    Print and check a data directory; see tidemark inspect "
      "--help.\n\n"
      "  tidemark --version\n    Show the version.\n\n"
      "  tidemark -h | --help\n    Show this help.\n";
  absl::string_view section;
  for (const FlagSpec& spec : FlagTable()) {
    if (spec.section.empty()) continue;
    if (spec.section != section) {
      section = spec.section;
      absl::StrAppend(&text, "\n", section, ":\n");
    }
    const absl::string_view quote = spec.type == FlagType::kString ? "'" : "";
    absl::StrAppend(&text, "  --", spec.name, " ", quote, spec.default_value, quote, "\n    ",
                    spec.help, EffectOf(spec.verdict), "\n");
  }
  return text;
}

std::string VersionText() {
  return absl::StrCat("etcd Version: ", kEtcdVersion, "\nGit SHA: ", TIDEMARK_GIT_SHA,
                      "\nGo Version: none (Tidemark ", kTidemarkVersion,
                      ", C++20)\nGo OS/Arch: linux/",
#if defined(__aarch64__)
                      "arm64",
#else
                      "amd64",
#endif
                      "\n");
}

std::variant<Options, ExitAtOnce> DecideStart(absl::Span<const std::string> arguments,
                                              absl::Span<const std::string> environment,
                                              const FileReader& read_file) {
  if (!arguments.empty() && (arguments[0] == "gateway" || arguments[0] == "grpc-proxy")) {
    return Refuse(absl::StrCat("the sub-command \"", arguments[0],
                               "\" of etcd is not part of Tidemark; use etcd's for that"));
  }
  absl::StatusOr<CommandLine> line = ParseCommandLine(arguments);
  if (!line.ok()) {
    return ExitAtOnce{2, "", absl::StrCat(line.status().message(), "\n", UsageText())};
  }
  if (ParseGoBool(line->values.Get("help")).value_or(false)) return ExitAtOnce{0, UsageText(), ""};
  if (!line->stray.empty())
    return Refuse(absl::StrCat("\"", line->stray, "\" is not a valid flag"));
  if (ParseGoBool(line->values.Get("version")).value_or(false)) {
    return ExitAtOnce{0, VersionText(), ""};
  }

  std::string config_file = line->values.Get("config-file");
  for (const std::string& variable : environment) {
    constexpr absl::string_view kName = "ETCD_CONFIG_FILE=";
    if (config_file.empty() && variable.compare(0, kName.size(), kName.data(), kName.size()) == 0) {
      config_file = variable.substr(kName.size());
    }
  }
  if (!config_file.empty()) {
    absl::StatusOr<std::string> text = read_file(config_file);
    if (!text.ok()) return Refuse(absl::StrCat("config file: ", text.status().message()));
    absl::StatusOr<FlagValues> values = ParseConfigFile(*text);
    if (!values.ok()) return Refuse(values.status().message());
    // On the command line listen-client-urls ask for it; in a file etcd's default stays.
    constexpr absl::string_view kAdvertised = "advertise-client-urls";
    values->Set(kAdvertised, values->Get(kAdvertised));
    return Build(*std::move(values), {absl::StrCat("loaded the configuration file ", config_file,
                                                   ", other configuration is ignored")});
  }

  std::vector<std::string> warnings;
  if (absl::Status status = AddEnvironment(environment, line->values, warnings); !status.ok()) {
    return Refuse(status.message());
  }
  return Build(std::move(line->values), std::move(warnings));
}

}  // namespace tidemark::server
