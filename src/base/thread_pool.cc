#include "src/base/thread_pool.h"

#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark {
namespace {

constexpr size_t kKernelNameLength = 15;

}  // namespace

ThreadPool::ThreadPool(const std::string& name, size_t threads) {
  CHECK(threads > 0);
  for (size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Loop(); });
    const std::string shown = absl::StrCat(name, "-", i).substr(0, kKernelNameLength);
    ::pthread_setname_np(threads_.back().native_handle(), shown.c_str());
  }
}

ThreadPool::~ThreadPool() {
  std::deque<Task> dropped;  // destroyed after the lock
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    dropped.swap(jobs_);
    work_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Start(Task job) {
  MutexLock lock(&mutex_);
  if (stopped_) return;
  jobs_.push_back(std::move(job));
  work_.Signal();
}

void ThreadPool::ForEach(size_t count, absl::FunctionRef<void(size_t)> piece) {
  if (count == 0) return;
  Batch batch{.piece = piece, .count = count};
  MutexLock lock(&mutex_);
  if (count > 1) {
    batches_.push_back(&batch);
    work_.SignalAll();
  }
  while (RunPiece(batch)) {
  }
  while (batch.running > 0) batch.ended.Wait(&mutex_);
}

bool ThreadPool::RunPiece(Batch& batch) {
  if (batch.next == batch.count) return false;
  const size_t mine = batch.next++;
  if (batch.next == batch.count) batches_.remove(&batch);
  ++batch.running;
  mutex_.Unlock();
  batch.piece(mine);
  mutex_.Lock();
  // The batch lives until its owner, who needs the lock, has seen this.
  if (--batch.running == 0 && batch.next == batch.count) batch.ended.Signal();
  return true;
}

void ThreadPool::Loop() {
  MutexLock lock(&mutex_);
  while (true) {
    if (!stopped_ && !jobs_.empty()) {
      Task job = std::move(jobs_.front());
      jobs_.pop_front();
      mutex_.Unlock();
      job();
      job = nullptr;
      mutex_.Lock();
    } else if (!batches_.empty()) {
      RunPiece(*batches_.front());
    } else if (stopped_) {
      return;
    } else {
      work_.Wait(&mutex_);
    }
  }
}

}  // namespace tidemark
