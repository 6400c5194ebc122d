// Writes protobuf's wire format into a ByteChain: small pieces are copied into one buffer, large
// stored bytes are referred to.
//
// Hides where buffers end. Sizes of nested messages are given by the caller, who knows them.
// Thread-compatible value.
#pragma once

#include <google/protobuf/io/coded_stream.h>

#include <cstdint>
#include <string>
#include <utility>

#include "src/base/bytes.h"

namespace tidemark::server {

inline size_t VarintSize(uint64_t value) {
  return google::protobuf::io::CodedOutputStream::VarintSize64(value);
}
// Of a non-zero scalar field with a number below 16; zero is not written.
inline size_t ScalarFieldSize(uint64_t value) { return value == 0 ? 0 : 1 + VarintSize(value); }
// Of a length-delimited field with a number below 16.
inline size_t LengthFieldSize(size_t size_bytes) { return 1 + VarintSize(size_bytes) + size_bytes; }

class WireWriter {
 public:
  // From this size on, bytes are cheaper by reference than copied.
  static constexpr size_t kReferBytes = 1024;

  explicit WireWriter(size_t expected_small_bytes = 0) { buffer_.reserve(expected_small_bytes); }

  void Scalar(int field, uint64_t value) {
    if (value == 0) return;
    Tag(field, 0);
    Varint(value);
  }
  void Signed(int field, int64_t value) { Scalar(field, static_cast<uint64_t>(value)); }
  void Flag(int field, bool value) { Scalar(field, value ? 1 : 0); }
  // Starts a length-delimited field; `size_bytes` of content must follow.
  void Length(int field, size_t size_bytes) {
    Tag(field, 2);
    Varint(size_bytes);
  }
  void Text(int field, absl::string_view text) {
    if (text.empty()) return;
    Length(field, text.size());
    buffer_.append(text.data(), text.size());
  }
  // A whole message that is stored encoded.
  void Message(int field, const SharedBytes& message) {
    Length(field, message.size());
    Raw(message);
  }
  void Message(int field, SharedBytes&& message) {
    Length(field, message.size());
    if (message.size() < kReferBytes) return Raw(message);
    Flush();
    chain_.Append(std::move(message));
  }
  // Content without a tag.
  void Raw(const SharedBytes& bytes) {
    if (bytes.size() < kReferBytes) {
      buffer_.append(bytes.view().data(), bytes.size());
      return;
    }
    Flush();
    chain_.Append(bytes);
  }
  void Raw(const ByteChain& chain) {
    for (const SharedBytes& run : chain.runs()) Raw(run);
  }

  ByteChain Finish() {
    Flush();
    return std::move(chain_);
  }

 private:
  void Tag(int field, int wire_type) { Varint(static_cast<uint64_t>(field) << 3 | wire_type); }
  void Varint(uint64_t value) {
    uint8_t bytes[10];
    uint8_t* end = google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(value, bytes);
    buffer_.append(reinterpret_cast<char*>(bytes), end - bytes);
  }
  void Flush() {
    if (buffer_.empty()) return;
    chain_.Append(std::move(buffer_));
    buffer_.clear();
  }

  std::string buffer_;
  ByteChain chain_;
};

}  // namespace tidemark::server
