// TLS on the client port: who is let in, how, and what changes while running.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "src/base/temporary_directory.h"
#include "src/server/transport/echo_fixture.h"
#include "src/server/transport/grpc_test_client.h"
#include "src/server/transport/raw_client.h"
#include "src/server/transport/test_certificates.h"

namespace tidemark::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr absl::string_view kHello = "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

class TlsTransportTest : public ::testing::Test {
 protected:
  TlsTransportTest() {
    WriteFile(Path("ca.pem"), authority_.certificate_pem());
    WriteServerPair(authority_);
  }

  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }

  void WriteServerPair(const TestAuthority& authority) {
    const auto pair = authority.Issue(
        {.common_name = "server", .alternative_names = {"IP:127.0.0.1", "DNS:localhost"}});
    WriteFile(Path("server.pem"), pair.certificate_pem);
    WriteFile(Path("server.key"), pair.key_pem);
  }

  TlsOptions Options() const {
    TlsOptions options;
    options.cert_file = Path("server.pem");
    options.key_file = Path("server.key");
    return options;
  }
  TlsOptions OptionsWithClients() const {
    TlsOptions options = Options();
    options.trusted_ca_file = Path("ca.pem");
    options.client_cert_auth = true;
    return options;
  }
  static ListenerSpec Spec(TlsOptions options, bool plaintext = false) {
    ListenerSpec spec = EchoServer::LocalSpec();
    spec.tls = std::move(options);
    spec.plaintext = plaintext;
    return spec;
  }

  UnaryResult Call(EchoServer& server, const TestAuthority& trusted,
                   const TestAuthority::Pair& client = {}) const {
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = trusted.certificate_pem();
    ssl.pem_cert_chain = client.certificate_pem;
    ssl.pem_private_key = client.key_pem;
    GrpcTestClient grpc_client(server.address(), grpc::SslCredentials(ssl));
    return grpc_client.Unary("Metadata", "x", [](grpc::ClientContext& context) {
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    });
  }

  // One exchange by OpenSSL itself, verifying nothing. `alpn` in wire format, may be empty.
  static std::string Exchange(EchoServer& server, const std::string& alpn, int version = 0,
                              const char* ciphers = nullptr) {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
        SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_min_proto_version(context.get(), version);
    SSL_CTX_set_max_proto_version(context.get(), version);
    SSL_CTX_set_security_level(context.get(), 0);
    if (ciphers != nullptr) SSL_CTX_set_cipher_list(context.get(), ciphers);
    RawClient socket(server.port());
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    if (!alpn.empty()) {
      SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                          static_cast<unsigned>(alpn.size()));
    }
    SSL_set_fd(ssl.get(), socket.fd());
    if (SSL_connect(ssl.get()) != 1) return "refused";
    const unsigned char* name = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl.get(), &name, &length);
    std::string result(reinterpret_cast<const char*>(name), length);
    absl::StrAppend(&result, "|", SSL_get_version(ssl.get()), "|");
    if (result[0] == 'h' && result[1] == '2') return result;
    SSL_write(ssl.get(), kHello.data(), static_cast<int>(kHello.size()));
    char buffer[4096];
    int n = 0;
    while ((n = SSL_read(ssl.get(), buffer, sizeof(buffer))) > 0) {
      result.append(buffer, static_cast<size_t>(n));
    }
    return result;
  }

  const TemporaryDirectory directory_;
  const TestAuthority authority_{"test authority"};
};

// OpenSSL answers and forgets them, one after the other, for as long as there are more.
TEST_F(TlsTransportTest, KeyUpdatesWithoutEndAreStopped) {
  EchoServer server({}, Spec(Options()));
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  SSL_CTX_free);
  const auto connect = [&](RawClient& socket) {
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), socket.fd());
    EXPECT_EQ(SSL_connect(ssl.get()), 1);
    return ssl;
  };
  const auto update_keys = [](SSL* ssl, int times) {
    for (int i = 0; i < times; ++i) {
      ASSERT_EQ(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
      if (SSL_do_handshake(ssl) != 1) return;
    }
  };
  const auto ask = [](SSL* ssl) {
    SSL_write(ssl, kHello.data(), static_cast<int>(kHello.size()));
    char answer[100];
    return SSL_read(ssl, answer, sizeof(answer)) > 0;
  };
  RawClient honest(server.port());
  const auto with_few = connect(honest);
  update_keys(with_few.get(), 10);
  EXPECT_TRUE(ask(with_few.get()));
  RawClient hostile(server.port());
  const auto with_many = connect(hostile);
  update_keys(with_many.get(), 100);
  EXPECT_FALSE(ask(with_many.get()));
}

TEST_F(TlsTransportTest, GrpcOverTls) {
  EchoServer server({}, Spec(Options()));
  const UnaryResult result = Call(server, authority_);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_THAT(result.message, HasSubstr("tls=1 cn="));
}

// A CA that another signed, as Kubernetes' own etcd-ca may be: Go trusts what is in the file.
TEST_F(TlsTransportTest, AnIntermediateAuthorityIsTrustedWithoutItsRoot) {
  const TestAuthority intermediate("intermediate", &authority_);
  WriteFile(Path("ca.pem"), intermediate.certificate_pem());
  EchoServer server({}, Spec(OptionsWithClients()));
  EXPECT_TRUE(Call(server, authority_, intermediate.Issue({.common_name = "a"})).status.ok());
  EXPECT_FALSE(Call(server, authority_, authority_.Issue({.common_name = "b"})).status.ok());
}

TEST_F(TlsTransportTest, LargeMessagesOverTls) {
  EchoServer server({}, Spec(Options()));
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = authority_.certificate_pem();
  GrpcTestClient client(server.address(), grpc::SslCredentials(ssl));
  const UnaryResult result = client.Unary("Sized", "20000000");
  EXPECT_EQ(result.message.size(), 20'000'000u) << result.status.error_message();
  const std::string large(2 << 20, 'l');
  EXPECT_EQ(client.Unary("Unary", large).message, large);
}

TEST_F(TlsTransportTest, ProtocolIsAgreedByAlpn) {
  EchoServer server({}, Spec(Options()));
  EXPECT_THAT(Exchange(server, "\x02h2\x08http/1.1"), StartsWith("h2|"));
  EXPECT_THAT(Exchange(server, "\x08http/1.1"), StartsWith("http/1.1|"));
  EXPECT_THAT(Exchange(server, "\x08http/1.1"), HasSubstr("HTTP/1.1 200 OK"));
  EXPECT_THAT(Exchange(server, ""), HasSubstr("HTTP/1.1 200 OK"));
  EXPECT_EQ(Exchange(server, "\x06spdy/3"), "refused");
}

TEST_F(TlsTransportTest, VersionsAreLimited) {
  EchoServer any({}, Spec(Options()));
  EXPECT_EQ(Exchange(any, "", TLS1_1_VERSION), "refused");
  EXPECT_THAT(Exchange(any, "", TLS1_2_VERSION), HasSubstr("TLSv1.2"));
  EXPECT_THAT(Exchange(any, "", TLS1_3_VERSION), HasSubstr("TLSv1.3"));
  TlsOptions new_only = Options();
  new_only.min_version = TlsVersion::kTls13;
  EchoServer tls13({}, Spec(new_only));
  EXPECT_EQ(Exchange(tls13, "", TLS1_2_VERSION), "refused");
  TlsOptions old_only = Options();
  old_only.max_version = TlsVersion::kTls12;
  EchoServer tls12({}, Spec(old_only));
  EXPECT_EQ(Exchange(tls12, "", TLS1_3_VERSION), "refused");
}

TEST_F(TlsTransportTest, CipherSuitesByTheirGoNames) {
  TlsOptions options = Options();
  options.cipher_suites = {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                           "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_AES_128_GCM_SHA256"};
  EchoServer server({}, Spec(options));
  EXPECT_NE(Exchange(server, "", TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384"), "refused");
  EXPECT_EQ(Exchange(server, "", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256"), "refused");
  options.cipher_suites = {"TLS_NO_SUCH"};
  EXPECT_FALSE(TlsContext::Create(options).ok());
}

TEST_F(TlsTransportTest, ClientCertificateIsMandatoryAndNamesTheUser) {
  EchoServer server({}, Spec(OptionsWithClients()));
  const UnaryResult result = Call(server, authority_, authority_.Issue({.common_name = "alice"}));
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_THAT(result.message, HasSubstr("cn=alice"));
  EXPECT_FALSE(Call(server, authority_).status.ok());
  const TestAuthority stranger("stranger");
  EXPECT_FALSE(Call(server, authority_, stranger.Issue({.common_name = "alice"})).status.ok());
}

TEST_F(TlsTransportTest, AuthorityFileAloneMakesCertificatesMandatory) {
  TlsOptions options = OptionsWithClients();
  options.client_cert_auth = false;
  EchoServer server({}, Spec(options));
  EXPECT_FALSE(Call(server, authority_).status.ok());
  const UnaryResult result = Call(server, authority_, authority_.Issue({.common_name = "alice"}));
  ASSERT_TRUE(result.status.ok());
  EXPECT_THAT(result.message, HasSubstr("tls=1 cn="));
  EXPECT_THAT(result.message, ::testing::Not(HasSubstr("alice")));
}

TEST_F(TlsTransportTest, RevokedSerialsAreRefused) {
  TlsOptions options = OptionsWithClients();
  options.crl_file = Path("crl.pem");
  WriteFile(options.crl_file, authority_.RevocationListPem({7}));
  EchoServer server({}, Spec(options));
  const auto good = authority_.Issue({.common_name = "good", .serial = 6});
  const auto bad = authority_.Issue({.common_name = "bad", .serial = 7});
  EXPECT_TRUE(Call(server, authority_, good).status.ok());
  EXPECT_FALSE(Call(server, authority_, bad).status.ok());
  WriteFile(options.crl_file, authority_.RevocationListPem({6}));
  EXPECT_FALSE(Call(server, authority_, good).status.ok());
  EXPECT_TRUE(Call(server, authority_, bad).status.ok());
}

TEST_F(TlsTransportTest, AllowedHostnames) {
  TlsOptions options = OptionsWithClients();
  options.allowed_hostnames = {"other.example", "good.example"};
  EchoServer server({}, Spec(options));
  const auto good =
      authority_.Issue({.common_name = "x", .alternative_names = {"DNS:good.example"}});
  const auto bad =
      authority_.Issue({.common_name = "good.example", .alternative_names = {"DNS:bad.example"}});
  EXPECT_TRUE(Call(server, authority_, good).status.ok());
  EXPECT_FALSE(Call(server, authority_, bad).status.ok());
}

TEST_F(TlsTransportTest, CertificatesRotateWithoutRestart) {
  EchoServer server({}, Spec(OptionsWithClients()));
  const auto old_client = authority_.Issue({.common_name = "old"});
  ASSERT_TRUE(Call(server, authority_, old_client).status.ok());
  const TestAuthority next("next authority");
  WriteServerPair(next);
  EXPECT_FALSE(Call(server, authority_, old_client).status.ok());
  EXPECT_TRUE(Call(server, next, old_client).status.ok());
  WriteFile(Path("ca.pem"), next.certificate_pem());
  EXPECT_FALSE(Call(server, next, old_client).status.ok());
  const auto new_client = next.Issue({.common_name = "new"});
  EXPECT_TRUE(Call(server, next, new_client).status.ok());
  // Files that cannot be used leave the last good ones in place.
  WriteFile(Path("server.pem"), "no certificate");
  EXPECT_TRUE(Call(server, next, new_client).status.ok());
  WriteServerPair(next);
  EXPECT_TRUE(Call(server, next, new_client).status.ok());
}

TEST_F(TlsTransportTest, PlainTextBesideTlsOnlyWhenAsked) {
  EchoServer both({}, Spec(Options(), true));
  EXPECT_TRUE(Call(both, authority_).status.ok());
  EXPECT_TRUE(GrpcTestClient(both.address()).Unary("Unary", "x").status.ok());
  EchoServer tls_only({}, Spec(Options(), false));
  RawClient plain(tls_only.port());
  plain.Send(kHello);
  EXPECT_EQ(plain.ReadAll(), "");
}

TEST_F(TlsTransportTest, HandshakeThatNeverEndsIsCutOff) {
  EchoServer server({.handshake_timeout = absl::Milliseconds(50)}, Spec(Options()));
  RawClient client(server.port());
  client.Send(absl::string_view("\x16\x03\x01\x02\x00\x01", 6));
  client.ReadAll();
  EXPECT_TRUE(Eventually([&] { return server.transport().open_connections() == 0; }));
}

TEST_F(TlsTransportTest, BadFilesAreRefusedAtTheStart) {
  TlsOptions options = Options();
  options.key_file = Path("missing.key");
  EXPECT_FALSE(TlsContext::Create(options).ok());
  options = Options();
  WriteFile(Path("other.key"), authority_.Issue({.common_name = "other"}).key_pem);
  options.key_file = Path("other.key");
  EXPECT_FALSE(TlsContext::Create(options).ok());
  options = Options();
  options.min_version = TlsVersion::kTls13;
  options.max_version = TlsVersion::kTls12;
  EXPECT_FALSE(TlsContext::Create(options).ok());
}

}  // namespace
}  // namespace tidemark::server
