// A simulated client: one request at a time over a network that delays and loses, for ever retrying
// nothing (a lost answer is an unknown outcome).
//
// Draws its requests; written values are unique, so that every change names its writer.
// Bound to the simulator's one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/history.h"
#include "tests/sim/sim_node.h"

namespace tidemark::sim {

struct NetworkKnobs {
  absl::Duration delay_max = absl::Milliseconds(2);
  uint64_t lose_one_in = 0;  // 0: never
  absl::Duration give_up = absl::Seconds(8);
};

// What the clients know in common, to draw requests that mean something.
struct SharedView {
  int64_t revision = 1;
  int64_t compacted = 1;
  int64_t deleted = 1;  // the newest revision known to hold a delete
  std::vector<int64_t> leases;
  bool stopping = false;
};

class SimClient {
 public:
  SimClient(int id, World& world, SimNode& node, NetworkKnobs network, SharedView& view,
            std::vector<Operation>& history);
  void Begin();
  bool idle() const { return !waiting_; }

 private:
  void Next();
  ClientRequest Draw();
  etcdserverpb::TxnRequest DrawTxn();
  std::string DrawKey();
  void DrawRange(std::string* key, std::string* end);
  int64_t DrawLease();
  void Deliver(ClientRequest request, size_t index);
  void Answer(size_t index, absl::Status status, int64_t revision, ClientResponse response);
  void Learn(const Operation& operation);
  void Finish(size_t index);
  bool Lost();
  absl::Duration Delay();
  uint64_t Below(uint64_t bound) { return DrawBelow(world_.random(), bound); }

  const int id_;
  World& world_;
  SimNode& node_;
  const NetworkKnobs network_;
  SharedView& view_;
  std::vector<Operation>& history_;
  int64_t number_ = 0;
  size_t current_ = 0;
  bool waiting_ = false;
};

}  // namespace tidemark::sim
