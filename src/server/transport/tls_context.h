// The server's side of TLS: certificates, trust and rules for client certificates.
//
// Hides OpenSSL's context and its renewal: files are looked at before every handshake and read
// again when they changed; files that cannot be used are reported and the last good ones stay.
// Thread-safe.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "src/base/mutex.h"

namespace tidemark::server {

enum class TlsVersion { kDefault, kTls12, kTls13 };

struct TlsOptions {
  std::string cert_file;
  std::string key_file;
  std::string trusted_ca_file;    // alone it makes a client certificate mandatory
  bool client_cert_auth = false;  // mandatory, too; and its CN becomes Peer::common_name
  std::string crl_file;           // DER or PEM; serials listed there are refused
  std::vector<std::string> allowed_hostnames;  // a client certificate needs one of them as SAN
  TlsVersion min_version = TlsVersion::kTls12;
  TlsVersion max_version = TlsVersion::kDefault;
  std::vector<std::string> cipher_suites;  // IANA (Go) names, for TLS 1.2
};

class TlsContext {
 public:
  // Refuses unreadable files, mismatched keys, unknown ciphers and impossible versions.
  static absl::StatusOr<std::shared_ptr<TlsContext>> Create(TlsOptions options);

  // For the next handshake; never null.
  std::shared_ptr<SSL_CTX> Current();

  // The rules OpenSSL does not check: revoked serials and host names. Call after the handshake.
  absl::Status CheckPeer(SSL* ssl) const;
  // CN of the client's verified certificate when it is to be used as an identity, or empty.
  std::string CommonName(SSL* ssl) const;

 private:
  struct FileStamp {
    int64_t inode = 0;
    int64_t modified_nanos = 0;
    int64_t size_bytes = 0;
    bool operator==(const FileStamp&) const = default;
  };

  explicit TlsContext(TlsOptions options) : options_(std::move(options)) {}
  std::vector<FileStamp> Stamps() const;
  absl::StatusOr<std::shared_ptr<SSL_CTX>> Load() const;
  bool WantsClientCertificate() const {
    return options_.client_cert_auth || !options_.trusted_ca_file.empty();
  }

  const TlsOptions options_;
  Mutex mutex_;
  std::shared_ptr<SSL_CTX> current_ ABSL_GUARDED_BY(mutex_);
  std::vector<FileStamp> stamps_ ABSL_GUARDED_BY(mutex_);  // of current_, or of the last failure
};

}  // namespace tidemark::server
