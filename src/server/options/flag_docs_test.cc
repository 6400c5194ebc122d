// docs/operations.md says of every flag what the flag table says.
//
// TIDEMARK_UPDATE_DOCS=1 writes that part of the page anew.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "src/server/options/flag_table.h"

namespace tidemark::server {
namespace {

constexpr char kBegin[] = "<!-- The flags: written by server_options_test, see there. -->\n";
constexpr char kEnd[] = "<!-- End of the flags. -->\n";

const char* VerdictText(Verdict verdict) {
  switch (verdict) {
    case Verdict::kUse:
      return "";
    case Verdict::kIgnore:
      return "no effect, warns";
    case Verdict::kIgnoreSilently:
      return "no effect";
    case Verdict::kRefuse:
      return "**refused**";
    case Verdict::kReplaced:
      return "older name";
  }
  return "";
}

std::string Cell(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"|", "\\|"}, {"<", "&lt;"}});
}

std::string Row(const FlagSpec& spec) {
  std::string value = spec.default_value.empty() ? "" : absl::StrCat("`", spec.default_value, "`");
  std::string help = spec.verdict == Verdict::kReplaced
                         ? absl::StrCat("use `", spec.replacement, "`")
                         : Cell(spec.help);
  return absl::StrCat("| `", spec.name, "` | ", value, " | ", VerdictText(spec.verdict), " | ",
                      help, " |\n");
}

std::string Sections() {
  constexpr char kHead[] = "| flag | default | | |\n|---|---|---|---|\n";
  std::string text, hidden;
  absl::string_view section;
  for (const FlagSpec& spec : FlagTable()) {
    if (spec.section.empty()) {
      hidden += Row(spec);
      continue;
    }
    if (spec.section != section) absl::StrAppend(&text, "\n### ", spec.section, "\n\n", kHead);
    section = spec.section;
    text += Row(spec);
  }
  return absl::StrCat(text, "\n### Not in --help: of older etcds\n\n", kHead, hidden, "\n");
}

TEST(Docs, OperationsPageHasEveryFlag) {
  const std::string path = std::string(TIDEMARK_SOURCE_DIR) + "/docs/operations.md";
  std::ifstream in(path);
  std::ostringstream content;
  content << in.rdbuf();
  std::string page = content.str();
  size_t begin = page.find(kBegin);
  size_t end = page.find(kEnd);
  ASSERT_NE(begin, std::string::npos) << path;
  ASSERT_NE(end, std::string::npos) << path;
  begin += sizeof kBegin - 1;
  if (std::getenv("TIDEMARK_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << page.replace(begin, end - begin, Sections());
    return;
  }
  EXPECT_EQ(page.substr(begin, end - begin), Sections())
      << "run this test with TIDEMARK_UPDATE_DOCS=1";
}

}  // namespace
}  // namespace tidemark::server
