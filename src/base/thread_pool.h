// A ParallelRunner that is a fixed number of threads: a process has one, with as many as cores.
//
// New jobs come before the pieces of those that run, so that a small job does not wait for a large
// one. A thread that waits for its own pieces works on them meanwhile and takes up nothing else:
// jobs never nest.
// Thread-safe. Destruction first ends the jobs that run; those not begun are dropped.
#pragma once

#include <deque>
#include <list>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "src/base/mutex.h"
#include "src/base/parallel_runner.h"

namespace tidemark {

class ThreadPool final : public ParallelRunner {
 public:
  // The kernel shows the first 15 characters of the name.
  ThreadPool(const std::string& name, size_t threads);
  ~ThreadPool() override;

  void ForEach(size_t count, absl::FunctionRef<void(size_t)> piece) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Start(Task job) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // A running ForEach.
  struct Batch {
    absl::FunctionRef<void(size_t)> piece;
    size_t count = 0;
    size_t next = 0;  // the first that nobody has begun
    size_t running = 0;
    CondVar ended;
  };

  void Loop() ABSL_LOCKS_EXCLUDED(mutex_);
  // Runs one piece, the lock released meanwhile. False: all have begun.
  bool RunPiece(Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  CondVar work_;
  std::list<Batch*> batches_ ABSL_GUARDED_BY(mutex_);  // with pieces that nobody has begun
  std::deque<Task> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tidemark
