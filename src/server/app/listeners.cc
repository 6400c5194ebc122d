#include "src/server/app/listeners.h"

#include <algorithm>
#include <set>

#include "src/kvstore/etcd_errors.h"

namespace tidemark::server {
namespace {

TlsVersion Version(const std::string& text) {
  if (text == "TLS1.2") return TlsVersion::kTls12;
  if (text == "TLS1.3") return TlsVersion::kTls13;
  return TlsVersion::kDefault;
}

TlsOptions MakeTls(const TlsFlags& flags) {
  TlsOptions tls;
  tls.cert_file = flags.cert_file;
  tls.key_file = flags.key_file;
  tls.trusted_ca_file = flags.trusted_ca_file;
  tls.client_cert_auth = flags.client_cert_auth;
  tls.crl_file = flags.crl_file;
  tls.allowed_hostnames = flags.allowed_hostnames;
  tls.min_version = Version(flags.min_version);
  tls.max_version = Version(flags.max_version);
  tls.cipher_suites = flags.cipher_suites;
  for (std::string& suite : tls.cipher_suites) {
    // Go's alias of the name with the hash.
    if (suite == "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305") suite += "_SHA256";
    if (suite == "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305") suite += "_SHA256";
  }
  return tls;
}

void Plan(const Options& options, const std::vector<Url>& urls, bool grpc, bool http,
          std::vector<PlannedListener>& out) {
  for (const Url& url : urls) {
    auto same = std::find_if(out.begin(), out.end(),
                             [&](const auto& planned) { return planned.address == url.address(); });
    bool repeated = same != out.end() && !(url.port == 0 && !url.is_unix());
    if (!repeated) {
      PlannedListener planned;
      planned.address = url.address();
      planned.spec.address.host = url.host;
      planned.spec.address.port = static_cast<uint16_t>(url.port);
      planned.spec.address.unix_path = url.path;
      planned.spec.address.reuse_port = options.socket_reuse_port;
      planned.spec.plaintext = false;
      planned.spec.serves_grpc = grpc;
      planned.spec.serves_http = http;
      planned.traffic = grpc && http ? "grpc+http" : grpc ? "grpc" : "http";
      out.push_back(std::move(planned));
      same = out.end() - 1;
    }
    if (url.tls()) {
      same->spec.tls = MakeTls(options.client_tls);
    } else {
      same->spec.plaintext = true;
    }
  }
}

}  // namespace

std::vector<PlannedListener> PlanClientListeners(const Options& options) {
  std::vector<PlannedListener> planned;
  bool separate_http = !options.listen_client_http_urls.empty();
  Plan(options, options.listen_client_urls, /*grpc=*/true, /*http=*/!separate_http, planned);
  Plan(options, options.listen_client_http_urls, /*grpc=*/false, /*http=*/true, planned);
  return planned;
}

SelfSignedRequest SelfSignedFor(const Options& options) {
  SelfSignedRequest request;
  request.cert_file = options.client_tls.cert_file;
  request.key_file = options.client_tls.key_file;
  request.validity_years = options.client_tls.self_signed_validity_years;
  std::set<std::string> hosts;
  for (const auto* urls : {&options.listen_client_urls, &options.listen_client_http_urls,
                           &options.listen_metrics_urls, &options.advertise_client_urls}) {
    for (const Url& url : *urls) {
      if (!url.host.empty()) hosts.insert(url.host);
    }
  }
  request.hosts.assign(hosts.begin(), hosts.end());
  return request;
}

std::vector<PlannedListener> PlanMetricsListeners(const Options& options) {
  std::vector<PlannedListener> planned;
  Plan(options, options.listen_metrics_urls, /*grpc=*/false, /*http=*/true, planned);
  return planned;
}

TransportOptions MakeTransportOptions(const Options& options, size_t loop_count) {
  constexpr size_t kGrpcOverheadBytes = 512 * 1024;
  TransportOptions transport;
  transport.loop_count = loop_count;
  transport.max_concurrent_streams = options.max_concurrent_streams;
  transport.max_receive_message_bytes = options.max_request_bytes + kGrpcOverheadBytes;
  transport.busy = kvstore::ErrTooManyRequests();
  transport.stopped = kvstore::ErrStopped();
  transport.keepalive.client_min_interval = options.keepalive_min_time;
  transport.keepalive.interval = options.keepalive_interval;
  transport.keepalive.timeout = options.keepalive_timeout;
  return transport;
}

}  // namespace tidemark::server
