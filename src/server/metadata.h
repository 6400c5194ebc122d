// Request headers (names in lower case); over HTTP/2 without those that the transport itself deals
// with, and user-agent. Binary values ("-bin") arrive decoded.
//
// Hides that all of them are one text: most requests have one header or two, and an allocation for
// each name and value would cost more than what is done with them.
// A value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"

namespace tidemark::server {

class Metadata {
 public:
  void Add(absl::string_view name, absl::string_view value) {
    text_.reserve(text_.size() + name.size() + value.size());
    text_.append(name.data(), name.size());
    text_.append(value.data(), value.size());
    items_.push_back({static_cast<uint32_t>(name.size()), static_cast<uint32_t>(value.size())});
  }
  // Of the first one with this name; nullopt when there is none. Valid until something is added.
  std::optional<absl::string_view> Find(absl::string_view name) const {
    std::optional<absl::string_view> found;
    ForEach([&](absl::string_view its_name, absl::string_view value) {
      if (!found.has_value() && its_name == name) found = value;
    });
    return found;
  }
  size_t size() const { return items_.size(); }
  // visit(name, value), in the order of Add.
  template <typename Visit>
  void ForEach(Visit visit) const {
    absl::string_view rest = text_;
    for (const Item& item : items_) {
      visit(rest.substr(0, item.name_bytes), rest.substr(item.name_bytes, item.value_bytes));
      rest.remove_prefix(item.name_bytes + item.value_bytes);
    }
  }

 private:
  struct Item {
    uint32_t name_bytes = 0;
    uint32_t value_bytes = 0;
  };
  std::string text_;
  absl::InlinedVector<Item, 4> items_;
};

}  // namespace tidemark::server
