#include "src/server/transport/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <fstream>

#include "absl/strings/str_join.h"
#include "src/base/check.h"

namespace tidemark::server {
namespace {

std::shared_ptr<EVP_PKEY> NewKey() {
  std::shared_ptr<EVP_PKEY> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  CHECK(key != nullptr);
  return key;
}

template <typename Write>
std::string ToPem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  CHECK(write(bio) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}

void AddExtension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

std::shared_ptr<X509> NewCertificate(const std::string& common_name, long serial, EVP_PKEY* key) {
  std::shared_ptr<X509> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 24 * 3600);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

}  // namespace

TestAuthority::TestAuthority(const std::string& common_name, const TestAuthority* issuer)
    : key_(NewKey()), certificate_(NewCertificate(common_name, 1, key_.get())) {
  if (issuer == nullptr) issuer = this;
  X509_set_issuer_name(certificate_.get(), X509_get_subject_name(issuer->certificate_.get()));
  AddExtension(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  CHECK(X509_sign(certificate_.get(), issuer->key_.get(), EVP_sha256()) > 0);
}

std::string TestAuthority::certificate_pem() const {
  return ToPem([this](BIO* bio) { return PEM_write_bio_X509(bio, certificate_.get()); });
}

TestAuthority::Pair TestAuthority::Issue(const CertificateRequest& request) const {
  const std::shared_ptr<EVP_PKEY> key = NewKey();
  const std::shared_ptr<X509> leaf = NewCertificate(request.common_name, request.serial, key.get());
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(certificate_.get()));
  AddExtension(leaf.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  if (!request.alternative_names.empty()) {
    AddExtension(leaf.get(), NID_subject_alt_name, absl::StrJoin(request.alternative_names, ","));
  }
  CHECK(X509_sign(leaf.get(), key_.get(), EVP_sha256()) > 0);
  return {ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, leaf.get()); }),
          ToPem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

std::string TestAuthority::RevocationListPem(const std::vector<long>& serials) const {
  const std::shared_ptr<X509_CRL> list(X509_CRL_new(), X509_CRL_free);
  X509_CRL_set_version(list.get(), 1);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate_.get()));
  ASN1_TIME* now = X509_gmtime_adj(nullptr, 0);
  X509_CRL_set1_lastUpdate(list.get(), now);
  for (const long serial : serials) {
    X509_REVOKED* revoked = X509_REVOKED_new();
    ASN1_INTEGER* number = ASN1_INTEGER_new();
    ASN1_INTEGER_set(number, serial);
    X509_REVOKED_set_serialNumber(revoked, number);
    X509_REVOKED_set_revocationDate(revoked, now);
    X509_CRL_add0_revoked(list.get(), revoked);
    ASN1_INTEGER_free(number);
  }
  X509_CRL_sort(list.get());
  CHECK(X509_CRL_sign(list.get(), key_.get(), EVP_sha256()) > 0);
  ASN1_TIME_free(now);
  return ToPem([&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, list.get()); });
}

void WriteFile(const std::string& path, const std::string& content) {
  const std::string temporary = path + ".new";
  std::ofstream(temporary) << content;
  CHECK(std::rename(temporary.c_str(), path.c_str()) == 0);
}

}  // namespace tidemark::server
