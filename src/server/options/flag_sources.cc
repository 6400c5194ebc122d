#include "src/server/options/flag_sources.h"

#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "src/base/check.h"
#include "src/server/options/flag_table.h"

namespace tidemark::server {
namespace {

absl::Status CheckType(const FlagSpec& spec, absl::string_view value) {
  switch (spec.type) {
    case FlagType::kBool:
      return ParseGoBool(value).status();
    case FlagType::kInt:
      return ParseGoInt(value).status();
    case FlagType::kUint:
      return ParseGoUint(value).status();
    case FlagType::kDuration: {
      absl::Duration parsed;
      if (absl::ParseDuration(value, &parsed) && parsed != absl::InfiniteDuration() &&
          parsed != -absl::InfiniteDuration()) {
        return absl::OkStatus();
      }
      return absl::InvalidArgumentError("parse error");
    }
    case FlagType::kString:
      return absl::OkStatus();
  }
  return absl::InternalError("unknown flag type");
}

constexpr absl::string_view kGates = "feature-gates";

std::string JoinGates(absl::string_view first, absl::string_view then) {
  return absl::StrCat(first, first.empty() || then.empty() ? "" : ",", then);
}

// Stores a value under today's name of its flag.
void Store(const FlagSpec& spec, std::string value, FlagValues& values) {
  if (spec.verdict != Verdict::kReplaced) {
    // Gates add up, those of old names and of the flag given again: of two the later one counts.
    if (spec.name == kGates && values.IsSet(kGates)) value = JoinGates(values.Get(kGates), value);
    values.Set(spec.name, std::move(value));
    return;
  }
  size_t colon = spec.replacement.find(':');
  if (colon == absl::string_view::npos) {
    values.Set(spec.replacement, std::move(value));
    return;
  }
  absl::string_view target = spec.replacement.substr(0, colon);
  absl::string_view word = spec.replacement.substr(colon + 1);
  bool on = ParseGoBool(value).value_or(false);
  if (target == kGates) {
    // In front, so that a feature-gates flag given as well has the last word.
    const std::string gate = absl::StrCat(word, "=", on ? "true" : "false");
    values.Set(target, JoinGates(gate, values.IsSet(target) ? values.Get(target) : ""));
  } else if (on) {
    values.Set(target, std::string(word));
  }
}

}  // namespace

std::string FlagValues::Get(absl::string_view name) const {
  auto it = values_.find(std::string(name));
  if (it != values_.end()) return it->second;
  const FlagSpec* spec = FindFlag(name);
  CHECK_MSG(spec != nullptr, name);
  return std::string(spec->default_value);
}

absl::StatusOr<bool> ParseGoBool(absl::string_view text) {
  for (absl::string_view word : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == word) return true;
  for (absl::string_view word : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == word) return false;
  return absl::InvalidArgumentError("parse error");
}

absl::StatusOr<int64_t> ParseGoInt(absl::string_view text) {
  std::string copy(text);
  char* end = nullptr;
  errno = 0;
  long long value = std::strtoll(copy.c_str(), &end, 0);
  if (copy.empty() || absl::ascii_isspace(copy[0]) || *end != '\0') {
    return absl::InvalidArgumentError("parse error");
  }
  if (errno == ERANGE) return absl::InvalidArgumentError("value out of range");
  return value;
}

absl::StatusOr<uint64_t> ParseGoUint(absl::string_view text) {
  std::string copy(text);
  char* end = nullptr;
  errno = 0;
  unsigned long long value = std::strtoull(copy.c_str(), &end, 0);
  if (copy.empty() || !absl::ascii_isalnum(copy[0]) || *end != '\0') {
    return absl::InvalidArgumentError("parse error");
  }
  if (errno == ERANGE) return absl::InvalidArgumentError("value out of range");
  return value;
}

absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<const std::string> arguments) {
  CommandLine result;
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view word = arguments[i];
    if (word == "--") {
      if (i + 1 < arguments.size()) result.stray = arguments[i + 1];
      return result;
    }
    if (word.size() < 2 || word[0] != '-') {
      result.stray = std::string(word);
      return result;
    }
    absl::string_view body = word.substr(word[1] == '-' ? 2 : 1);
    size_t equals = body.find('=');
    absl::string_view name = body.substr(0, equals);
    if (name.empty() || name[0] == '-') {
      return absl::InvalidArgumentError(absl::StrCat("bad flag syntax: ", word));
    }
    if (name == "h") name = "help";
    const FlagSpec* spec = FindFlag(name);
    if (spec == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("flag provided but not defined: -", name));
    }
    std::string value;
    if (equals != absl::string_view::npos) {
      value = std::string(body.substr(equals + 1));
    } else if (spec->type == FlagType::kBool) {
      value = "true";
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return absl::InvalidArgumentError(absl::StrCat("flag needs an argument: -", name));
    }
    if (absl::Status status = CheckType(*spec, value); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          spec->type == FlagType::kBool ? "invalid boolean value \"" : "invalid value \"", value,
          "\" for flag -", name, ": ", status.message()));
    }
    Store(*spec, std::move(value), result.values);
  }
  return result;
}

absl::Status AddEnvironment(absl::Span<const std::string> environment, FlagValues& values,
                            std::vector<std::string>& warnings) {
  FlagValues from_environment;
  for (absl::string_view variable : environment) {
    if (!absl::StartsWith(variable, "ETCD_")) continue;
    size_t equals = variable.find('=');
    if (equals == absl::string_view::npos) continue;
    absl::string_view key = variable.substr(0, equals);
    if (key == "ETCD_UNSUPPORTED_ARCH") continue;
    // Images set it to say what is in them; etcd ignores it too.
    if (key == "ETCD_VERSION" || key == "ETCD_HELP") {
      warnings.push_back(absl::StrCat("ignored environment variable ", key));
      continue;
    }
    std::string name = absl::StrReplaceAll(absl::AsciiStrToLower(key.substr(5)), {{"_", "-"}});
    const FlagSpec* spec = FindFlag(name);
    if (spec == nullptr || absl::StrContains(spec->name, '.')) {
      // Not its value: images have passwords under such names.
      warnings.push_back(absl::StrCat("unrecognized environment variable ", key));
      continue;
    }
    // Like etcd: an empty variable is a variable that is not set.
    std::string value(variable.substr(equals + 1));
    if (value.empty()) continue;
    // Gates add up: those that are set may be of flags with old names, which shadow nothing.
    if (values.IsSet(name) && name != kGates) {
      return absl::InvalidArgumentError(absl::StrCat(
          "conflicting environment variable \"", key,
          "\" is shadowed by corresponding command-line flag (either unset environment variable "
          "or disable flag)"));
    }
    if (absl::Status status = CheckType(*spec, value); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("invalid value \"", value, "\" for ", key, ": ", status.message()));
    }
    Store(*spec, std::move(value), from_environment);
  }
  for (const auto& [name, value] : from_environment.values()) {
    if (!values.IsSet(name)) {
      values.Set(name, value);
    } else if (name == kGates) {  // the command line has the last word
      values.Set(name, JoinGates(value, values.Get(name)));
    }
  }
  return absl::OkStatus();
}

namespace {

// The names that a key of a TLS map has as a flag; "" when it has none.
std::string TlsFlagName(absl::string_view key, bool peer) {
  static constexpr absl::string_view kSame[] = {
      "cert-file",        "key-file",        "client-cert-auth", "trusted-ca-file",
      "client-cert-file", "client-key-file", "auto-tls",         "skip-client-san-verification"};
  for (absl::string_view same : kSame) {
    if (key != same) continue;
    if (!peer && key == "skip-client-san-verification") return "";
    return peer ? absl::StrCat("peer-", key) : std::string(key);
  }
  if (key == "crl-file") return peer ? "peer-crl-file" : "client-crl-file";
  if (key == "allowed-cn" || key == "allowed-cns") return peer ? "peer-cert-allowed-cn" : "";
  if (key == "allowed-hostname" || key == "allowed-hostnames") {
    return peer ? "peer-cert-allowed-hostname" : "client-cert-allowed-hostname";
  }
  return "";
}

absl::StatusOr<std::string> YamlText(const FlagSpec& spec, const YAML::Node& node) {
  if (node.IsSequence()) {
    std::vector<std::string> items;
    for (const YAML::Node& item : node) items.push_back(item.Scalar());
    return absl::StrJoin(items, ",");
  }
  if (!node.IsScalar()) {
    return absl::InvalidArgumentError(absl::StrCat("config file: ", spec.name, " must be a value"));
  }
  std::string text = node.Scalar();
  // Durations are integers of nanoseconds there; the flags' spelling is accepted as well.
  if (spec.type == FlagType::kDuration && ParseGoInt(text).ok()) text += "ns";
  return text;
}

absl::Status AddYaml(const std::string& name, const YAML::Node& node, FlagValues& values) {
  const FlagSpec* spec = FindFlag(name);
  if (spec == nullptr || node.IsNull()) return absl::OkStatus();
  absl::StatusOr<std::string> text = YamlText(*spec, node);
  if (!text.ok()) return text.status();
  if (text->empty()) return absl::OkStatus();
  if (absl::Status status = CheckType(*spec, *text); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("config file: invalid value \"", *text,
                                                   "\" for ", name, ": ", status.message()));
  }
  Store(*spec, *std::move(text), values);
  return absl::OkStatus();
}

absl::Status AddYamlTls(const YAML::Node& map, bool peer, FlagValues& values) {
  if (map.IsNull()) return absl::OkStatus();
  if (!map.IsMap()) {
    return absl::InvalidArgumentError("config file: transport security must be a map");
  }
  for (const auto& item : map) {
    std::string name = TlsFlagName(item.first.Scalar(), peer);
    if (name.empty()) continue;
    if (absl::Status status = AddYaml(name, item.second, values); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<FlagValues> ReadYaml(const YAML::Node& root) {
  FlagValues values;
  if (root.IsNull()) return values;
  if (!root.IsMap()) return absl::InvalidArgumentError("config file: not a map of settings");
  for (const auto& item : root) {
    std::string key = item.first.Scalar();
    absl::Status status;
    if (key == "client-transport-security") {
      status = AddYamlTls(item.second, /*peer=*/false, values);
    } else if (key == "peer-transport-security") {
      status = AddYamlTls(item.second, /*peer=*/true, values);
    } else {
      status = AddYaml(key, item.second, values);
    }
    if (!status.ok()) return status;
  }
  return values;
}

}  // namespace

absl::StatusOr<FlagValues> ParseConfigFile(const std::string& text) {
  try {
    return ReadYaml(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("config file: ", error.what()));
  }
}

}  // namespace tidemark::server
