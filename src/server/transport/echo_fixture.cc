#include "src/server/transport/echo_fixture.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace tidemark::server {
namespace {

// /hello says so, /echo gives the body back, /where the target; everything else is not found.
void HandleHttp(HttpRequest request, std::function<void(HttpResponse)> respond) {
  HttpResponse response;
  response.headers.emplace_back("Content-Type", "text/plain");
  if (request.path == "/hello") {
    response.body = "hello\n";
  } else if (request.path == "/echo") {
    response.body = std::move(request.body);
  } else if (request.path == "/where") {
    response.body = absl::StrCat(request.method, " ", request.path, " ", request.query);
  } else {
    response.status = 404;
    response.body = "404 page not found\n";
  }
  respond(std::move(response));
}

}  // namespace

ListenerSpec EchoServer::LocalSpec() {
  ListenerSpec spec;
  spec.address.host = "127.0.0.1";
  return spec;
}

EchoServer::EchoServer(TransportOptions options, ListenerSpec spec, MemoryBudget* budget) {
  transport_ = std::make_unique<Transport>(clock_, options);
  if (budget != nullptr) transport_->SetBudget(budget);
  transport_->SetMethods(EchoMethods(counters_));
  transport_->SetHttpHandler(HandleHttp);
  auto listener = transport_->AddListener(std::move(spec));
  CHECK_MSG(listener.ok(), listener.status().ToString());
  transport_->Start();
  transport_->Accept(*listener);
}

EchoServer::~EchoServer() {
  Stop(absl::ZeroDuration());
  counters_->worker.Stop();
}

void EchoServer::Stop(absl::Duration grace) {
  transport_->BeginShutdown(grace);
  transport_->Join();
}

std::string EchoServer::address() const { return absl::StrCat("127.0.0.1:", port()); }

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

}  // namespace tidemark::server
