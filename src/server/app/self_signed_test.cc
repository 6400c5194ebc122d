// The certificate of --auto-tls, looked at as a client does: by a handshake.
#include "src/server/app/self_signed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "src/base/check.h"
#include "src/base/posix_clock.h"
#include "src/base/posix_file_system.h"
#include "src/server/app/listeners.h"
#include "src/server/options/startup.h"
#include "src/server/transport/tls_context.h"

namespace tidemark::server {
namespace {

std::string Content(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

class SelfSignedTest : public ::testing::Test {
 protected:
  SelfSignedTest() {
    std::string directory = ::testing::TempDir() + "/self_signedXXXXXX";
    CHECK(mkdtemp(directory.data()) != nullptr);
    directory_ = directory;
    request_.cert_file = directory + "/fixtures/client/cert.pem";
    request_.key_file = directory + "/fixtures/client/key.pem";
    request_.hosts = {"127.0.0.1", "::1", "node-1.example"};
  }
  ~SelfSignedTest() override { std::filesystem::remove_all(directory_); }

  void Ensure(absl::Time now) {
    absl::Status status = EnsureSelfSigned(files_, request_, now);
    ASSERT_TRUE(status.ok()) << status;
  }
  std::string Pair() const { return Content(request_.cert_file) + Content(request_.key_file); }

  // X509_V_OK, or what a client that trusts the certificate file says about the server `host`.
  long Handshake(const std::string& host) {
    TlsOptions options;
    options.cert_file = request_.cert_file;
    options.key_file = request_.key_file;
    auto context = TlsContext::Create(options);
    CHECK_MSG(context.ok(), context.status().message());
    std::shared_ptr<SSL_CTX> client_context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_verify(client_context.get(), SSL_VERIFY_PEER, nullptr);
    CHECK(SSL_CTX_load_verify_locations(client_context.get(), request_.cert_file.c_str(),
                                        nullptr) == 1);
    std::shared_ptr<SSL> server(SSL_new((*context)->Current().get()), SSL_free);
    std::shared_ptr<SSL> client(SSL_new(client_context.get()), SSL_free);
    X509_VERIFY_PARAM* rules = SSL_get0_param(client.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) != 1) {
      CHECK(X509_VERIFY_PARAM_set1_host(rules, host.data(), host.size()) == 1);
    }
    BIO* server_end = nullptr;
    BIO* client_end = nullptr;
    CHECK(BIO_new_bio_pair(&server_end, 0, &client_end, 0) == 1);
    SSL_set_bio(server.get(), server_end, server_end);
    SSL_set_bio(client.get(), client_end, client_end);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    for (int i = 0; i < 10 && !SSL_is_init_finished(client.get()); ++i) {
      SSL_do_handshake(client.get());
      SSL_do_handshake(server.get());
    }
    long result = SSL_get_verify_result(client.get());
    EXPECT_EQ(SSL_is_init_finished(client.get()), result == X509_V_OK);
    return result;
  }

  PosixFileSystem files_;
  std::string directory_;
  SelfSignedRequest request_;
  const absl::Time now_ = PosixClock().Wall();
};

TEST_F(SelfSignedTest, AClientThatTrustsItShakesHands) {
  Ensure(now_);
  EXPECT_EQ(Handshake("127.0.0.1"), X509_V_OK);
  EXPECT_EQ(Handshake("::1"), X509_V_OK);
  EXPECT_EQ(Handshake("node-1.example"), X509_V_OK);
  EXPECT_EQ(Handshake("127.0.0.2"), X509_V_ERR_IP_ADDRESS_MISMATCH);
  EXPECT_EQ(Handshake("node-2.example"), X509_V_ERR_HOSTNAME_MISMATCH);
  struct stat info {};
  ASSERT_EQ(stat(request_.key_file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((directory_ + "/fixtures/client").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(SelfSignedTest, ReusedWhileItIsValid) {
  request_.validity_years = 2;
  Ensure(now_);
  std::string first = Pair();
  Ensure(now_ + absl::Hours(24 * (2 * 365 - 1)));
  EXPECT_EQ(Pair(), first);
  Ensure(now_ + absl::Hours(24 * (2 * 365 + 1)));
  EXPECT_NE(Pair(), first);
  // That one is not valid yet.
  EXPECT_EQ(Handshake("127.0.0.1"), X509_V_ERR_CERT_NOT_YET_VALID);
  Ensure(now_);
  EXPECT_EQ(Handshake("127.0.0.1"), X509_V_OK);
}

TEST_F(SelfSignedTest, WhatDoesNotFitTogetherIsReplaced) {
  Ensure(now_);
  std::string key = Content(request_.key_file);
  std::filesystem::remove(request_.cert_file);  // as a crash between the two files leaves it
  Ensure(now_);
  EXPECT_EQ(Handshake("127.0.0.1"), X509_V_OK);
  std::ofstream(request_.key_file) << key;
  Ensure(now_);
  EXPECT_EQ(Handshake("127.0.0.1"), X509_V_OK);
  std::ofstream(request_.cert_file) << "not a certificate";
  Ensure(now_);
  EXPECT_EQ(Handshake("127.0.0.1"), X509_V_OK);
}

TEST_F(SelfSignedTest, IsMadeForTheHostsOfTheUrls) {
  auto decision = DecideStart({"--auto-tls", "--data-dir=/d", "--self-signed-cert-validity=3",
                               "--listen-client-urls=https://127.0.0.1:1,https://[::1]:2,unix://a",
                               "--advertise-client-urls=https://node.example:1"},
                              {}, nullptr);
  ASSERT_TRUE(std::holds_alternative<Options>(decision)) << std::get<ExitAtOnce>(decision).err;
  SelfSignedRequest request = SelfSignedFor(std::get<Options>(decision));
  EXPECT_THAT(request.hosts, ::testing::ElementsAre("127.0.0.1", "::1", "node.example"));
  EXPECT_EQ(request.cert_file, "/d/fixtures/client/cert.pem");
  EXPECT_EQ(request.key_file, "/d/fixtures/client/key.pem");
  EXPECT_EQ(request.validity_years, 3u);
}

}  // namespace
}  // namespace tidemark::server
