#include "src/server/transport/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/base/log.h"
#include "src/server/transport/openssl_ptr.h"

namespace tidemark::server {
namespace {

using CrlPtr = std::unique_ptr<X509_CRL, OpenSslDeleter<X509_CRL_free>>;

absl::Status TlsError(absl::string_view what) {
  const unsigned long code = ERR_get_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": ", reason == nullptr ? "cannot be used" : reason));
}

int VersionNumber(TlsVersion version) {
  switch (version) {
    case TlsVersion::kDefault:
      return 0;
    case TlsVersion::kTls12:
      return TLS1_2_VERSION;
    case TlsVersion::kTls13:
      return TLS1_3_VERSION;
  }
  return 0;
}

// Go's names are IANA's, except one alias that etcd keeps.
absl::StatusOr<std::string> CipherList(const std::vector<std::string>& names) {
  std::vector<std::string> list;
  for (std::string name : names) {
    if (name == "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" ||
        name == "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305") {
      name += "_SHA256";
    }
    const absl::string_view openssl_name = OPENSSL_cipher_name(name.c_str());
    if (openssl_name == "(NONE)") {
      return absl::InvalidArgumentError(absl::StrCat("unexpected TLS cipher suite \"", name, "\""));
    }
    // TLS 1.3 suites are not configurable, as in Go.
    if (!absl::StartsWith(openssl_name, "TLS_")) list.emplace_back(openssl_name);
  }
  return absl::StrJoin(list, ":");
}

int SelectProtocol(SSL*, const unsigned char** out, unsigned char* out_length,
                   const unsigned char* offered, unsigned offered_length, void*) {
  static constexpr unsigned char kOurs[] = "\x02h2\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_length, kOurs, sizeof(kOurs) - 1, offered,
                            offered_length) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

absl::StatusOr<CrlPtr> ReadCrl(const std::string& file) {
  BioPtr bio(BIO_new_file(file.c_str(), "r"));
  if (bio == nullptr) return TlsError(file);
  CrlPtr crl(PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr));
  if (crl == nullptr) {
    ERR_clear_error();
    (void)BIO_reset(bio.get());
    crl.reset(d2i_X509_CRL_bio(bio.get(), nullptr));
  }
  if (crl == nullptr) return TlsError(file);
  return crl;
}

absl::Status CheckRevocation(SSL* ssl, const std::string& crl_file) {
  absl::StatusOr<CrlPtr> crl = ReadCrl(crl_file);
  if (!crl.ok()) return crl.status();
  // On the server's side the leaf is not part of the chain's list in every version: check both.
  std::vector<X509*> presented;
  const X509Ptr leaf(SSL_get1_peer_certificate(ssl));
  if (leaf != nullptr) presented.push_back(leaf.get());
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
  for (int i = 0; i < (chain == nullptr ? 0 : sk_X509_num(chain)); ++i) {
    presented.push_back(sk_X509_value(chain, i));
  }
  for (X509* certificate : presented) {
    X509_REVOKED* revoked = nullptr;
    if (X509_CRL_get0_by_serial(crl->get(), &revoked, X509_get_serialNumber(certificate)) != 0) {
      return absl::PermissionDeniedError("transport: certificate serial is revoked");
    }
  }
  return absl::OkStatus();
}

bool CertificateNames(X509* certificate, const std::string& host) {
  return X509_check_host(certificate, host.data(), host.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                         nullptr) == 1 ||
         X509_check_ip_asc(certificate, host.c_str(), 0) == 1;
}

}  // namespace

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContext::Create(TlsOptions options) {
  const int min = VersionNumber(options.min_version);
  const int max = VersionNumber(options.max_version);
  if (max != 0 && min > max) {
    return absl::InvalidArgumentError("min TLS version is above the max TLS version");
  }
  if (!options.cipher_suites.empty() && options.min_version == TlsVersion::kTls13) {
    return absl::InvalidArgumentError("cipher suites cannot be configured when using only TLS1.3");
  }
  std::shared_ptr<TlsContext> context(new TlsContext(std::move(options)));
  MutexLock lock(&context->mutex_);
  context->stamps_ = context->Stamps();
  absl::StatusOr<std::shared_ptr<SSL_CTX>> loaded = context->Load();
  if (!loaded.ok()) return loaded.status();
  context->current_ = *std::move(loaded);
  return context;
}

std::vector<TlsContext::FileStamp> TlsContext::Stamps() const {
  std::vector<FileStamp> stamps;
  for (const std::string* file :
       {&options_.cert_file, &options_.key_file, &options_.trusted_ca_file}) {
    struct stat info {};
    FileStamp stamp;
    if (!file->empty() && stat(file->c_str(), &info) == 0) {
      stamp = {static_cast<int64_t>(info.st_ino),
               int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec,
               static_cast<int64_t>(info.st_size)};
    }
    stamps.push_back(stamp);
  }
  return stamps;
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> TlsContext::Load() const {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context == nullptr) return TlsError("TLS");
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, VersionNumber(options_.min_version));
  SSL_CTX_set_max_proto_version(raw, VersionNumber(options_.max_version));
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // A resumed session would skip the checks of the certificate, hence none.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_clear_mode(raw, SSL_MODE_AUTO_RETRY);  // a read is one record, whatever that holds
  SSL_CTX_set_alpn_select_cb(raw, SelectProtocol, nullptr);
  absl::StatusOr<std::string> ciphers = CipherList(options_.cipher_suites);
  if (!ciphers.ok()) return ciphers.status();
  if (!ciphers->empty() && SSL_CTX_set_cipher_list(raw, ciphers->c_str()) != 1) {
    return TlsError("cipher suites");
  }
  // Nobody is asked for a passphrase: like etcd, an encrypted key is one that cannot be read.
  SSL_CTX_set_default_passwd_cb(raw, [](char*, int, int, void*) { return 0; });
  if (SSL_CTX_use_certificate_chain_file(raw, options_.cert_file.c_str()) != 1) {
    return TlsError(options_.cert_file);
  }
  if (SSL_CTX_use_PrivateKey_file(raw, options_.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(raw) != 1) {
    return TlsError(options_.key_file);
  }
  if (!WantsClientCertificate()) return context;
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // As in Go each certificate of the file is trusted for itself, an intermediate one too.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(raw), X509_V_FLAG_PARTIAL_CHAIN);
  if (options_.trusted_ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(raw);
    return context;
  }
  const char* file = options_.trusted_ca_file.c_str();
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(file);
  if (names == nullptr || SSL_CTX_load_verify_locations(raw, file, nullptr) != 1) {
    return TlsError(options_.trusted_ca_file);
  }
  SSL_CTX_set_client_CA_list(raw, names);
  return context;
}

std::shared_ptr<SSL_CTX> TlsContext::Current() {
  MutexLock lock(&mutex_);
  std::vector<FileStamp> stamps = Stamps();
  if (stamps == stamps_) return current_;
  stamps_ = std::move(stamps);
  absl::StatusOr<std::shared_ptr<SSL_CTX>> loaded = Load();
  if (loaded.ok()) {
    TLOG(kInfo, "read TLS files again", {{"cert-file", options_.cert_file}});
    current_ = *std::move(loaded);
  } else {
    TLOG(kWarn, "cannot use changed TLS files; keeping the last good ones",
         {{"cert-file", options_.cert_file}, {"error", loaded.status().message()}});
  }
  return current_;
}

absl::Status TlsContext::CheckPeer(SSL* ssl) const {
  if (!options_.crl_file.empty()) {
    absl::Status status = CheckRevocation(ssl, options_.crl_file);
    if (!status.ok()) return status;
  }
  if (options_.allowed_hostnames.empty()) return absl::OkStatus();
  const X509Ptr leaf(SSL_get1_peer_certificate(ssl));
  for (const std::string& host : options_.allowed_hostnames) {
    if (leaf != nullptr && CertificateNames(leaf.get(), host)) return absl::OkStatus();
  }
  return absl::PermissionDeniedError("client certificate authentication failed");
}

std::string TlsContext::CommonName(SSL* ssl) const {
  if (!options_.client_cert_auth) return "";
  const X509Ptr leaf(SSL_get1_peer_certificate(ssl));
  if (leaf == nullptr) return "";
  X509_NAME* subject = X509_get_subject_name(leaf.get());
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) return "";
  unsigned char* utf8 = nullptr;
  const int length =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
  if (length < 0) return "";
  std::string name(reinterpret_cast<char*>(utf8), static_cast<size_t>(length));
  OPENSSL_free(utf8);
  return name;
}

}  // namespace tidemark::server
