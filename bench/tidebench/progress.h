// One line on a terminal that shows how far a run is; nothing where stderr is no terminal.
//
// Bound to one thread.
#pragma once

#include <string>

namespace tidemark::bench {

class Progress {
 public:
  Progress();
  ~Progress() { Clear(); }

  void Show(const std::string& what, double share);  // 0 to 1
  void Clear();

 private:
  const bool is_terminal_;
};

}  // namespace tidemark::bench
