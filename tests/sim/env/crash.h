// How simulated nodes die: at a fail point, by Fatal, or by a CHECK.
//
// While a ScopedCrashHandlers lives, Fatal, CHECK and armed fail points throw SimulatedCrash. The
// world's loop catches the first two kinds and ends the node; a failed CHECK is our bug and
// travels on to the test.
// Bound to the simulator's one thread; one ScopedCrashHandlers at a time.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <utility>

#include "src/base/random.h"

namespace tidemark::sim {

enum class CrashKind { kFailPoint, kFatal, kCheckFailure };

class SimulatedCrash : public std::exception {
 public:
  SimulatedCrash(CrashKind kind, std::string reason) : kind_(kind), reason_(std::move(reason)) {}

  CrashKind kind() const { return kind_; }
  const std::string& reason() const { return reason_; }  // the point's name or the message
  const char* what() const noexcept override { return reason_.c_str(); }

 private:
  CrashKind kind_;
  std::string reason_;
};

class ScopedCrashHandlers {
 public:
  // `random` decides about CrashRandomly; it must outlive this.
  explicit ScopedCrashHandlers(Random& random);
  ~ScopedCrashHandlers();
  ScopedCrashHandlers(const ScopedCrashHandlers&) = delete;
  ScopedCrashHandlers& operator=(const ScopedCrashHandlers&) = delete;

  // Crashes once, at the pass-th pass of `point` from now on (1 is the next one).
  void CrashAt(std::string point, int64_t pass);
  // Every pass of any point crashes with the chance 1 in `n`; 0 ends that.
  void CrashRandomly(uint64_t one_in);
  void Disarm();

  // How often each point was passed: proof that a run reached the places it should.
  const std::map<std::string, int64_t>& passes() const { return passes_; }

 private:
  void Reached(const std::string& point);

  Random& random_;
  uint64_t random_one_in_ = 0;
  std::map<std::string, int64_t> passes_left_;  // of CrashAt
  std::map<std::string, int64_t> passes_;
};

}  // namespace tidemark::sim
