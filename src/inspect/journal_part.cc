#include "src/inspect/journal_part.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "src/inspect/entry_counts.h"
#include "src/journal/data_directory.h"
#include "src/journal/log_survey.h"
#include "src/journal/sequencer.h"
#include "src/journal/sequencer_replay.h"
#include "src/partition/map_entry.h"

namespace tidemark::inspect {
namespace {

using journal::DataDirectory;
using journal::LogSurvey;
using journal::Sequencer;
using Json = nlohmann::ordered_json;
using Kind = Finding::Kind;

std::string Hex(uint64_t value) { return absl::StrFormat("%016x", value); }

std::string NameIn(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Kind KindOf(const absl::Status& status) {
  return absl::IsDataLoss(status) ? Kind::kDamage : Kind::kUnknown;
}

Json SegmentsJson(const journal::SegmentWalk& walk) {
  Json rows = Json::array();
  for (size_t i = 0; i < walk.segments.size(); ++i) {
    const journal::Segment& segment = walk.segments[i];
    const bool is_last = i + 1 == walk.segments.size();
    const Position end = is_last ? walk.last.Next() : walk.segments[i + 1].first;
    const char* mark = "none";
    if (segment.mark == journal::TailMark::Kind::kSynced) mark = "synced";
    if (segment.mark == journal::TailMark::Kind::kSealed) mark = "sealed";
    const bool is_damaged = is_last && walk.damage.has_value();
    rows.push_back({{"file", NameIn(segment.path)},
                    {"first_position", segment.first.value()},
                    {"last_position", end.Previous().value()},
                    {"entries", end.value() - segment.first.value()},
                    {"blocks", segment.block_count},
                    {"bytes", segment.end_offset},
                    {"capacity_bytes", segment.capacity_bytes},
                    {"mark", is_damaged ? "not reached" : mark}});
  }
  return rows;
}

class JournalPart : public Part {
 public:
  JournalPart(FileSystem& files, const Clock& clock, std::string directory, DirectoryFacts* facts)
      : files_(files), clock_(clock), path_(std::move(directory)), facts_(facts) {}

  std::string lock_path() const override { return DataDirectory::LockPath(path_); }

  PartReport Inspect() override {
    PartReport report;
    report.name = "journal";
    report.facts["directory"] = path_;
    absl::StatusOr<std::vector<std::string>> names = files_.List(path_);
    if (absl::IsNotFound(names.status())) {
      report.Add(Kind::kNote, "there is no journal: the next start begins with an empty store",
                 path_);
      return report;
    }
    if (!names.ok()) {
      report.Add(Kind::kUnknown, std::string(names.status().message()), path_);
      return report;
    }
    auto directory = DataDirectory::OpenReadOnly(files_, path_);
    if (facts_ != nullptr) facts_->has_journal = !absl::IsNotFound(directory.status());
    if (absl::IsNotFound(directory.status())) {
      report.Add(Kind::kNote, "it is not set up yet: the next start begins with an empty store",
                 path_);
      return report;
    }
    if (!directory.ok()) {
      AddRefusal(directory.status(), *names, &report);
      return report;
    }
    Survey(**directory, *names, &report);
    return report;
  }

 private:
  // Without a FORMAT nothing says whose files these are; segments say that there was a journal.
  static void AddRefusal(const absl::Status& refused, const std::vector<std::string>& names,
                         PartReport* report) {
    bool has_segments = false;
    for (const std::string& name : names) {
      Position ignored;
      has_segments = has_segments || journal::ParseSegmentName(name, &ignored);
    }
    const bool is_newer = absl::StrContains(refused.message(), "newer");
    report->Add(has_segments && !is_newer ? Kind::kDamage : KindOf(refused),
                std::string(refused.message()));
    AddNextStart(refused, 0, report);
  }

  static void AddNextStart(const absl::Status& status, uint64_t term, PartReport* report) {
    Json next = {{"opens", status.ok()}};
    if (status.ok()) next["term"] = term;
    if (!status.ok()) next["refusal"] = std::string(status.message());
    report->facts["next_start"] = std::move(next);
  }

  void Survey(DataDirectory& directory, const std::vector<std::string>& names, PartReport* report) {
    Sequencer sequencer;
    EntryCounts counts;
    LogSurvey survey;
    absl::Status status = journal::SurveyLog(
        files_, clock_, directory,
        journal::ReplayInto(&sequencer, Sequencer::Limits(),
                            [&](const journal::Entry& entry) { return counts.Add(entry); }),
        &survey);
    report->facts["format_version"] = directory.format_version();
    report->facts["store"] = Hex(directory.store().value());
    if (absl::Status owned = AddOwner(directory, report); !owned.ok()) status.Update(owned);
    AddSurvey(survey, report);
    AddContents(survey, sequencer, counts, report);
    AddNextStart(status, survey.stored_term.value_or(Term(0)).Next().value(), report);
    AddTornEnd(survey.walk, report);
    if (!survey.history_damage.ok()) {
      report->Add(Kind::kNote, absl::StrCat("the next start does not use memory: ",
                                            survey.history_damage.message()));
    }
    if (facts_ != nullptr) TellOthers(directory, survey, sequencer, counts, status.ok());
    Json removed = Json::array();
    for (const std::string& name : names) {
      if (DataDirectory::IsTemporary(name)) removed.push_back(name);
    }
    if (status.ok()) report->facts["next_start"]["removes"] = std::move(removed);
    if (status.ok()) return;
    const auto& damage = survey.walk.damage;
    if (damage.has_value()) {
      report->Add(KindOf(status), damage->problem, damage->path, damage->offset);
    } else {
      report->Add(KindOf(status), std::string(status.message()));
    }
  }

  // Of another node's journal a start refuses what it would open otherwise.
  absl::Status AddOwner(DataDirectory& directory, PartReport* report) const {
    const absl::StatusOr<std::optional<std::string>> owner = directory.LoadOwner();
    if (!owner.ok()) return owner.status();
    if (owner->has_value()) report->facts["owner"] = **owner;
    if (facts_ == nullptr || facts_->owner.empty()) return absl::OkStatus();
    const absl::Status checked = directory.CheckOwner(*owner, facts_->owner);
    return checked.ok() ? checked : absl::DataLossError(checked.message());
  }

  void TellOthers(const DataDirectory& directory, const LogSurvey& survey,
                  const Sequencer& sequencer, const EntryCounts& counts, bool opens) {
    facts_->store = directory.store().value();
    facts_->journal_opens = opens;
    facts_->first = survey.walk.segments.empty() ? survey.state_position.Next()
                                                 : survey.walk.segments.front().first;
    facts_->tail = sequencer.tail();
    facts_->history = survey.history;
    facts_->partition_map = counts.partition_map();
    for (const auto& [partition, epoch] : sequencer.epochs()) {
      if (partition != partition::MapEntry::kPartition) facts_->claimed.insert(partition);
    }
  }

  static void AddSurvey(const LogSurvey& survey, PartReport* report) {
    Json& facts = report->facts;
    if (survey.stored_term.has_value()) facts["term"] = survey.stored_term->value();
    if (survey.state_position > Position(0)) {
      facts["snapshot"] = {{"position", survey.state_position.value()},
                           {"bytes", survey.state_bytes}};
    }
    const journal::SegmentWalk& walk = survey.walk;
    facts["segments"] = SegmentsJson(walk);
    const size_t unread = walk.file_count - walk.segments.size();
    if (unread > 0) facts["segments_not_read"] = unread;
    if (!walk.segments.empty()) {
      facts["first_position"] = walk.segments.front().first.value();
      facts["chain"] = Hex(walk.chain.value());
    }
  }

  // What the entries that could be read say.
  static void AddContents(const LogSurvey& survey, const Sequencer& sequencer,
                          const EntryCounts& counts, PartReport* report) {
    Json& facts = report->facts;
    const journal::Tail& tail = sequencer.tail();
    facts["last_position"] = tail.position.value();
    if (counts.first_revision().has_value()) {
      facts["first_revision"] = counts.first_revision()->value();
    }
    facts["last_revision"] = tail.revision.value();
    facts["last_entry_term"] = survey.newest_block_term.value();
    if (!counts.partition_map().empty()) facts["partition_map"] = counts.partition_map();
    facts["entries"] = counts.ToJson();
    Json epochs = Json::array();
    for (const auto& [partition, epoch] : sequencer.epochs()) {
      epochs.push_back({{"partition", partition.value()},
                        {"epoch", epoch.value()},
                        {"entries", counts.of_partition(partition)}});
    }
    facts["epochs"] = std::move(epochs);
    Json origins = Json::array();
    for (const Sequencer::OriginSummary& origin : sequencer.Origins()) {
      origins.push_back({{"origin", Hex(origin.id.value())},
                         {"last_number", origin.last_number},
                         {"last_position", origin.last_position.value()}});
    }
    facts["origins"] = std::move(origins);
  }

  static void AddTornEnd(const journal::SegmentWalk& walk, PartReport* report) {
    if (!walk.is_torn() || walk.damage.has_value()) return;
    const std::string& file = walk.segments.back().path;
    report->facts["next_start"]["cuts"] = {{"file", NameIn(file)},
                                           {"offset", walk.clean_from},
                                           {"torn_from", walk.torn_from},
                                           {"torn_end", walk.torn_end}};
    report->Add(Kind::kNote,
                absl::StrCat("an unfinished write behind position ", walk.last.value(),
                             " will be cut off at the next start; nobody was told that it "
                             "happened"),
                file, walk.torn_from);
  }

  FileSystem& files_;
  const Clock& clock_;
  const std::string path_;
  DirectoryFacts* const facts_;
};

}  // namespace

std::unique_ptr<Part> MakeJournalPart(FileSystem& files, const Clock& clock, std::string directory,
                                      DirectoryFacts* facts) {
  return std::make_unique<JournalPart>(files, clock, std::move(directory), facts);
}

}  // namespace tidemark::inspect
