// A report as text for people and as JSON for scripts; both show the same facts and findings.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/inspect/inspect.h"

namespace tidemark::inspect {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kTableRowsMax = 100;  // in the text; JSON has all

// File names and texts from a directory may be no UTF-8.
std::string Dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

std::string Cell(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "-";
  return Dump(value);
}

bool IsTable(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& row) { return row.is_object(); });
}

std::string Spaces(size_t count) { return std::string(count, ' '); }

// One line per row under a line of names; columns as the first row has them.
void AppendTable(const Json& rows, size_t indent, std::string* out) {
  std::vector<std::vector<std::string>> cells(1);
  for (const auto& [name, value] : rows[0].items()) cells[0].push_back(name);
  const size_t shown = std::min(rows.size(), kTableRowsMax);
  for (size_t i = 0; i < shown; ++i) {
    std::vector<std::string>& row = cells.emplace_back();
    for (const std::string& name : cells[0]) {
      row.push_back(rows[i].contains(name) ? Cell(rows[i][name]) : "-");
    }
  }
  std::vector<size_t> widths(cells[0].size());
  for (const auto& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : cells) {
    std::string line = Spaces(indent);
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i], Spaces(widths[i] - row[i].size() + 2));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(out, line, "\n");
  }
  if (shown < rows.size()) {
    absl::StrAppend(out, Spaces(indent), "... and ", rows.size() - shown, " more (--json)\n");
  }
}

void AppendFacts(const Json& facts, size_t indent, std::string* out) {
  for (const auto& [name, value] : facts.items()) {
    if (value.is_object()) {
      absl::StrAppend(out, Spaces(indent), name, "\n");
      AppendFacts(value, indent + 2, out);
    } else if (IsTable(value)) {
      absl::StrAppend(out, Spaces(indent), name, "\n");
      AppendTable(value, indent + 2, out);
    } else if (!value.is_array() || !value.empty()) {
      const size_t width = name.size() < 24 ? 24 - name.size() : 1;
      absl::StrAppend(out, Spaces(indent), name, Spaces(width), Cell(value), "\n");
    }
  }
}

absl::string_view NameOf(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::kNote:
      return "note";
    case Finding::Kind::kDamage:
      return "damage";
    case Finding::Kind::kUnknown:
      return "unknown";
  }
  return "";
}

absl::string_view NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHealthy:
      return "healthy";
    case Verdict::kDamaged:
      return "damaged";
    case Verdict::kUnknown:
      return "cannot tell";
  }
  return "";
}

void AppendFindings(const std::vector<Finding>& findings, std::string* out) {
  for (const Finding& finding : findings) {
    absl::StrAppend(out, NameOf(finding.kind), ": ", finding.text);
    if (!finding.file.empty()) absl::StrAppend(out, " [", finding.file);
    if (finding.offset.has_value()) absl::StrAppend(out, " at ", *finding.offset);
    absl::StrAppend(out, finding.file.empty() ? "\n" : "]\n");
  }
}

Json FindingsJson(const std::vector<Finding>& findings) {
  Json all = Json::array();
  for (const Finding& finding : findings) {
    const absl::string_view kind = NameOf(finding.kind);
    Json json = {{"kind", std::string(kind)}, {"text", finding.text}};
    if (!finding.file.empty()) json["file"] = finding.file;
    if (finding.offset.has_value()) json["offset"] = *finding.offset;
    all.push_back(std::move(json));
  }
  return all;
}

}  // namespace

std::string RenderText(const Report& report) {
  std::string out = absl::StrCat("data directory ", report.data_dir, "\n");
  for (const PartReport& part : report.parts) {
    absl::StrAppend(&out, "\n", part.name, "\n");
    AppendFacts(part.facts, 2, &out);
  }
  absl::StrAppend(&out, "\n");
  AppendFindings(report.findings, &out);
  for (const PartReport& part : report.parts) AppendFindings(part.findings, &out);
  absl::StrAppend(&out, "verdict: ", NameOf(report.verdict()), "\n");
  return out;
}

std::string RenderJson(const Report& report) {
  Json json = {{"data_dir", report.data_dir},
               {"verdict", std::string(NameOf(report.verdict()))},
               {"in_use", report.is_in_use},
               {"findings", FindingsJson(report.findings)},
               {"parts", Json::object()}};
  for (const PartReport& part : report.parts) {
    json["parts"][part.name] = {{"facts", part.facts}, {"findings", FindingsJson(part.findings)}};
  }
  return Dump(json, 2) + "\n";
}

}  // namespace tidemark::inspect
