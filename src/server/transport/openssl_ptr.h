// OpenSSL's objects, owned.
//
// Hides which function frees which. Values.
#pragma once

#include <openssl/bio.h>
#include <openssl/x509.h>

#include <memory>

namespace tidemark::server {

template <auto Function>
struct OpenSslDeleter {
  template <typename T>
  void operator()(T* object) const {
    Function(object);
  }
};
using BioPtr = std::unique_ptr<BIO, OpenSslDeleter<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, OpenSslDeleter<X509_free>>;

}  // namespace tidemark::server
