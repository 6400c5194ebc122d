// The services over a router, calls and a loop that tests drive.
//
// Bound to one thread.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/server/services/fakes_for_test.h"
#include "src/server/services/services.h"

namespace tidemark::server {

template <typename Message>
Message Parse(const std::string& bytes) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  return message;
}

class ServicesTest : public ::testing::Test {
 protected:
  ServicesTest() {
    router_.status.term = Term(3);
    router_.status.revision = Revision(42);
    ServiceOptions options;
    options.cluster_id = 11;
    options.member_id = 22;
    options.name = "m";
    options.peer_urls = {"http://p:1"};
    options.client_urls = {"http://c:1"};
    options.version = "3.7.1";
    options.storage_version = "3.7.0";
    options.max_request_bytes = 1000;
    options.watch_progress_notify_interval = absl::Seconds(10);
    context_ = std::make_unique<ServiceContext>(
        options, router_, loop_, random_,
        [this](bool stream, const std::string& version) -> std::function<void()> {
          return [this, name = (stream ? "stream " : "unary ") + version] {
            clients_.push_back(name);
          };
        });
    context_->RefreshTerm();
    methods_ = AllMethods(*context_);
  }

  struct Started {
    std::shared_ptr<FakeCall> call;
    std::shared_ptr<CallHandler> handler;
  };
  Started Start(const std::string& path,
                std::vector<std::pair<std::string, std::string>> headers = {}) {
    for (const Method& method : methods_) {
      if (method.path != path) continue;
      Started started;
      started.call = std::make_shared<FakeCall>(loop_, path);
      for (auto& [name, value] : headers) started.call->mutable_metadata().Add(name, value);
      started.handler = method.start(started.call);
      started.call->handler = started.handler;
      return started;
    }
    ADD_FAILURE() << "no method " << path;
    return {};
  }
  template <typename Message>
  Started Ask(const std::string& path, const Message& message,
              std::vector<std::pair<std::string, std::string>> headers = {}) {
    Started started = Start(path, std::move(headers));
    started.handler->OnMessage(message.SerializeAsString());
    loop_.RunTasks();
    return started;
  }

  FakeLoop loop_;
  FixedRandom random_;
  FakeRouter router_;
  std::unique_ptr<ServiceContext> context_;
  std::vector<Method> methods_;
  std::vector<std::string> clients_;
};

}  // namespace tidemark::server
