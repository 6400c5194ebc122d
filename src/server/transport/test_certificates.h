// Certificates made for one test: authorities, servers, clients, revocation lists.
#pragma once

#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

namespace tidemark::server {

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> alternative_names;  // "DNS:localhost", "IP:127.0.0.1"
  long serial = 1;
};

class TestAuthority {
 public:
  // Signed by itself, or by another.
  explicit TestAuthority(const std::string& common_name, const TestAuthority* issuer = nullptr);

  std::string certificate_pem() const;
  struct Pair {
    std::string certificate_pem;
    std::string key_pem;
  };
  Pair Issue(const CertificateRequest& request) const;
  std::string RevocationListPem(const std::vector<long>& serials) const;

 private:
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> certificate_;
};

// Replaces the file as rotation tools do: a new one renamed over the old.
void WriteFile(const std::string& path, const std::string& content);

}  // namespace tidemark::server
