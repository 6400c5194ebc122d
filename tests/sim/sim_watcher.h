// A simulated watch client: one watch, followed like kube-apiserver's cache does, resumed at the
// next revision after a crash, reading slowly at times.
//
// Bound to the simulator's one thread; the node's side runs on its loop executor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/history.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_node.h"

namespace tidemark::sim {

class SimWatcher {
 public:
  SimWatcher(World& world, SimNode& node, SharedView& view, std::vector<WatchHistory>& histories);
  ~SimWatcher();

  void Begin();
  // The node is about to be destroyed: the stream belongs to it.
  void ConnectionLost();
  // The last revision that this client was told of, by event or progress.
  int64_t known_revision() const { return next_ - 1; }
  void AskProgress();
  // Ends this watch and begins another one.
  void WatchSomethingElse();
  void End();

 private:
  class Port;

  void Open();
  void OpenLater();
  void Close();
  etcdserverpb::WatchCreateRequest DrawRequest();
  int64_t DrawStart();
  WatchHistory& history() { return histories_[index_]; }
  void OnItem(int64_t incarnation, WatchHistory::Item item);
  void OnCreated(int64_t incarnation, int64_t revision);
  void OnRefused(int64_t incarnation);  // for want of memory: tries again

  World& world_;
  SimNode& node_;
  SharedView& view_;
  std::vector<WatchHistory>& histories_;
  size_t index_ = 0;
  etcdserverpb::WatchCreateRequest request_;
  int64_t next_ = 0;
  int64_t connection_ = 0;
  std::shared_ptr<Port> port_;
  bool ended_ = false;
};

}  // namespace tidemark::sim
