// One accepted connection: finds out what is spoken on it, then moves bytes.
//
// Hides the socket, TLS, the choice of protocol and the order of closing. Output is written once
// per turn of the loop; while other connections are active and this one has something long to send,
// it rests now and then, with everything that is sent on it. Bound to its loop.
//
// 1. OnClosed of the protocol is its last call, and happens exactly once.
// 2. The protocol's output waiting here is bounded (TransportOptions::output_queue_bytes).
// 3. A connection that is ended in order still reads and drops input for a moment, because closing
//    a socket with unread input destroys the last answer on its way.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "src/server/output_queue.h"
#include "src/server/transport/context.h"
#include "src/server/transport/event_loop.h"
#include "src/server/transport/output_pacer.h"
#include "src/server/transport/protocol.h"
#include "src/server/transport/socket.h"

namespace tidemark::server {

// A connection before it is one: on its way to its loop.
struct Accepted {
  std::unique_ptr<Socket> socket;
  std::string peer_address;
  MemoryCharge charge;
};

class Connection final : public FdHandler,
                         public TurnEndHandler,
                         private DeadlineHeap::Entry,
                         public std::enable_shared_from_this<Connection> {
 public:
  struct Wiring {
    TransportContext& context;
    const ListenerTraits& traits;
    EventLoop& loop;
    BatchedCharge& memory;
    OutputPacer& pacer;
  };
  // What one takes by itself.
  static int64_t OwnBytes(const ListenerTraits& traits);
  // `on_closed` gives up the owner's reference; called once.
  Connection(const Wiring& wiring, Accepted accepted, std::function<void(Connection*)> on_closed);
  ~Connection() override;

  void Start();
  // Lets calls in progress end.
  void BeginShutdown();
  // Now, whatever is in progress.
  void Close();
  // Gives up what is held for a client that does not take it.
  void OnMemoryShort();
  // Closes it when it has output that the client has taken nothing of for that long.
  void CloseIfStuck(absl::Duration too_long);
  // When the client last sent something; nothing while it waits for an answer.
  std::optional<absl::Duration> idle_since() const;

  // For protocols.
  bool has_output() const { return !output_.empty(); }  // that the socket has not taken
  TransportContext& context() { return context_; }
  const ListenerTraits& traits() const { return traits_; }
  EventLoop& loop() { return loop_; }
  const Peer& peer() const { return *peer_; }
  std::shared_ptr<const Peer> shared_peer() const { return peer_; }
  // A request over HTTP/2 came.
  void NoteRequest();
  // Counts what is held for this connection, or no longer held.
  void CountMemory(int64_t bytes) { memory_.Add(bytes); }
  // There may be output or the wish to read may have changed: look at the end of this turn.
  void MarkDirty();
  // Runs `task` at `when` unless the connection is closed by then.
  TimerId CallAt(absl::Duration when, std::function<void()> task);

  void OnReady(uint32_t epoll_events) override;
  void OnTurnEnd() override;

 private:
  enum class State { kFirstByte, kHandshake, kFirstBytes, kOpen, kLingering, kClosed };

  void StepFirstByte();
  void StepHandshake();
  void RejectHandshake(absl::string_view error);
  void ReadInput();
  bool Deliver(absl::string_view bytes);
  bool ChooseProtocol(absl::string_view bytes);
  void DropInput();
  void WriteOutput();
  void ChargeWriting(absl::Duration begun, absl::Duration ended);
  void Rest();
  void OnDeadline() override;  // the rest is over
  void EndInOrder();
  void UpdateEvents();
  void CountQueues();

  TransportContext& context_;
  const ListenerTraits& traits_;
  EventLoop& loop_;
  BatchedCharge& memory_;
  OutputPacer& pacer_;
  const std::shared_ptr<Peer> peer_ = std::make_shared<Peer>();  // fixed once a protocol is chosen
  std::function<void(Connection*)> on_closed_;
  State state_ = State::kFirstByte;
  std::unique_ptr<Socket> socket_;
  TlsSocket* tls_ = nullptr;  // socket_, when it is one
  std::shared_ptr<SSL_CTX> tls_context_;
  std::unique_ptr<Protocol> protocol_;
  std::string first_bytes_;
  OutputQueue output_;
  TimerId phase_timer_ = 0;  // of handshake, first bytes or lingering
  uint32_t events_ = 0;
  const MemoryCharge own_charge_;
  int64_t queued_bytes_ = 0;  // counted for what waits in queues
  absl::Duration last_input_;
  absl::Duration last_taken_;  // when the client took bytes, or there were none to take
  size_t dropped_bytes_ = 0;
  absl::Duration rest_owed_;         // to others, for what was written
  absl::Duration wrote_long_until_;  // when it last wrote more than a little at once
  bool rests_ = false;
  bool dirty_ = false;
  bool write_blocked_ = false;
  bool input_ended_ = false;
  bool ending_ = false;  // no more input; close when output_ is empty
  bool end_timer_armed_ = false;
  bool shutting_down_ = false;
};

}  // namespace tidemark::server
