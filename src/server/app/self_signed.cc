#include "src/server/app/self_signed.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/log.h"
#include "src/server/transport/openssl_ptr.h"

namespace tidemark::server {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslDeleter<EVP_PKEY_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, OpenSslDeleter<BN_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpenSslDeleter<GENERAL_NAMES_free>>;

constexpr size_t kPemBytesMax = 1 << 20;
constexpr int kSerialBits = 127;

absl::StatusOr<std::string> ReadFile(FileSystem& files, const std::string& path) {
  absl::StatusOr<std::unique_ptr<File>> file = files.Open(path, OpenMode::kReadOnly);
  if (!file.ok()) return file.status();
  return (*file)->ReadAt(0, kPemBytesMax);
}

// All or nothing; new files have mode 0600.
absl::Status ReplaceFile(FileSystem& files, const std::string& path, const std::string& content) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  if (files.Exists(temporary)) {
    if (absl::Status s = files.Remove(temporary); !s.ok()) return s;
  }
  absl::StatusOr<std::unique_ptr<File>> file = files.Open(temporary, OpenMode::kCreateExclusive);
  if (!file.ok()) return file.status();
  if (absl::Status s = (*file)->WriteAt(0, {absl::string_view(content)}); !s.ok()) return s;
  if (absl::Status s = (*file)->SyncData(); !s.ok()) return s;
  file->reset();
  return files.Rename(temporary, path);
}

template <typename Write>
std::string ToPem(Write write) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  CHECK(bio != nullptr && write(bio.get()) == 1);
  char* data = nullptr;
  const long size_bytes = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size_bytes));
}

bool IsUsable(const std::string& cert_pem, const std::string& key_pem, absl::Time now) {
  BioPtr cert_bio(BIO_new_mem_buf(cert_pem.data(), static_cast<int>(cert_pem.size())));
  BioPtr key_bio(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  X509Ptr cert(PEM_read_bio_X509(cert_bio.get(), nullptr, nullptr, nullptr));
  KeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  bool fits =
      cert != nullptr && key != nullptr && X509_check_private_key(cert.get(), key.get()) == 1;
  ERR_clear_error();
  if (!fits) return false;
  time_t seconds = absl::ToTimeT(now);
  return X509_cmp_time(X509_get0_notBefore(cert.get()), &seconds) < 0 &&
         X509_cmp_time(X509_get0_notAfter(cert.get()), &seconds) > 0;
}

void AddExtension(X509* cert, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, cert, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  CHECK(extension != nullptr && X509_add_ext(cert, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void AddHosts(X509* cert, const std::vector<std::string>& hosts) {
  NamesPtr names(GENERAL_NAMES_new());
  for (const std::string& host : hosts) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    if (ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str()); address != nullptr) {
      GENERAL_NAME_set0_value(name, GEN_IPADD, address);
    } else {
      ASN1_IA5STRING* text = ASN1_IA5STRING_new();
      CHECK(ASN1_STRING_set(text, host.data(), static_cast<int>(host.size())) == 1);
      GENERAL_NAME_set0_value(name, GEN_DNS, text);
    }
    CHECK(sk_GENERAL_NAME_push(names.get(), name) > 0);
  }
  ERR_clear_error();  // what is a name was tried as an address
  CHECK(X509_add1_ext_i2d(cert, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1);
}

X509Ptr MakeCertificate(const SelfSignedRequest& request, EVP_PKEY* key, absl::Time now) {
  X509Ptr cert(X509_new());
  CHECK(cert != nullptr && X509_set_version(cert.get(), X509_VERSION_3) == 1);
  NumberPtr serial(BN_new());
  CHECK(BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
  BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(cert.get()));
  X509_NAME* subject = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("tidemark"), -1, -1, 0);
  X509_set_issuer_name(cert.get(), subject);
  time_t seconds = absl::ToTimeT(now);
  int days = static_cast<int>(365 * request.validity_years);
  CHECK(X509_time_adj_ex(X509_getm_notBefore(cert.get()), 0, -1, &seconds) != nullptr);
  CHECK(X509_time_adj_ex(X509_getm_notAfter(cert.get()), days, 0, &seconds) != nullptr);
  CHECK(X509_set_pubkey(cert.get(), key) == 1);
  AddExtension(cert.get(), NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(cert.get(), NID_key_usage, "critical,digitalSignature,keyEncipherment");
  AddExtension(cert.get(), NID_ext_key_usage, "serverAuth");
  if (!request.hosts.empty()) AddHosts(cert.get(), request.hosts);
  CHECK(X509_sign(cert.get(), key, EVP_sha256()) > 0);
  return cert;
}

}  // namespace

absl::Status EnsureSelfSigned(FileSystem& files, const SelfSignedRequest& request, absl::Time now) {
  CHECK(request.validity_years > 0);
  const std::string directory = request.cert_file.substr(0, request.cert_file.rfind('/'));
  if (absl::Status s = files.CreateDirectories(directory); !s.ok()) return s;
  if (files.Exists(request.cert_file) && files.Exists(request.key_file)) {
    absl::StatusOr<std::string> cert_pem = ReadFile(files, request.cert_file);
    if (!cert_pem.ok()) return cert_pem.status();
    absl::StatusOr<std::string> key_pem = ReadFile(files, request.key_file);
    if (!key_pem.ok()) return key_pem.status();
    if (IsUsable(*cert_pem, *key_pem, now)) return absl::OkStatus();
    TLOG(kWarn, "self-signed certificate is expired or damaged; making a new one",
         {{"cert-file", request.cert_file}});
  }
  KeyPtr key(EVP_EC_gen("P-256"));
  CHECK(key != nullptr);
  X509Ptr cert = MakeCertificate(request, key.get(), now);
  std::string key_pem = ToPem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  std::string cert_pem = ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, cert.get()); });
  if (absl::Status s = ReplaceFile(files, request.key_file, key_pem); !s.ok()) return s;
  if (absl::Status s = ReplaceFile(files, request.cert_file, cert_pem); !s.ok()) return s;
  TLOG(kInfo, "made a self-signed certificate",
       {{"cert-file", request.cert_file}, {"validity-years", request.validity_years}});
  return files.SyncDirectory(directory);
}

}  // namespace tidemark::server
