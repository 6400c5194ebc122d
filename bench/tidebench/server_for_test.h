// A BareStore on a loopback port, with its loop in a thread, and a client connected to it.
//
// Bound to the test's thread; what it tells instead of the truth is fixed.
#pragma once

#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "bench/limit/bare_store.h"
#include "bench/limit/bare_transport.h"
#include "bench/tidebench/wire/client.h"
#include "src/base/check.h"

namespace tidemark::bench {

class ServerForTest {
 public:
  explicit ServerForTest(BareStore::Tamper tamper = nullptr,
                         BareStore::Fault fault = BareStore::Fault::kNone)
      : transport_(0, &store_) {
    store_.set_tamper(std::move(tamper));
    store_.set_fault(fault);
    thread_ = std::thread([this] { transport_.Run(); });
  }
  ~ServerForTest() {
    transport_.Stop();
    thread_.join();
  }

  std::unique_ptr<Client> Connect(int64_t connections) const {
    auto endpoint = ParseEndpoint(absl::StrCat("127.0.0.1:", transport_.port()));
    CHECK(endpoint.ok());
    auto client = Client::Create({.endpoint = *endpoint});
    CHECK(client.ok());
    CHECK((*client)->Connect(connections).ok());
    return *std::move(client);
  }

 private:
  BareStore store_;
  BareTransport transport_;
  std::thread thread_;
};

}  // namespace tidemark::bench
