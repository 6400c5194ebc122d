// Writes protobuf's wire format into a ByteChain: small pieces are copied together, large stored
// bytes are referred to.
//
// Hides where buffers end: what a message of a few fields needs costs no memory of its own until it
// is whole. Sizes of nested messages are given by the caller, who knows them.
// Thread-compatible value.
#pragma once

#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
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

  explicit WireWriter(size_t expected_small_bytes = 0) : expected_bytes_(expected_small_bytes) {}

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
    Copy(text);
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
    if (bytes.size() < kReferBytes) return Copy(bytes.view());
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
    char bytes[kVarintBytesMax];
    const bool fits = long_.empty() && short_bytes_ + kVarintBytesMax <= sizeof short_;
    char* const begin = fits ? short_ + short_bytes_ : bytes;
    uint8_t* const end = google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(
        value, reinterpret_cast<uint8_t*>(begin));
    const size_t size_bytes = static_cast<size_t>(reinterpret_cast<char*>(end) - begin);
    if (!fits) return Copy({bytes, size_bytes});
    short_bytes_ += size_bytes;
  }
  void Copy(absl::string_view bytes) {
    if (long_.empty() && short_bytes_ + bytes.size() <= sizeof short_) {
      std::copy(bytes.begin(), bytes.end(), short_ + short_bytes_);
      short_bytes_ += bytes.size();
      return;
    }
    if (long_.empty()) {
      long_.reserve(std::max(expected_bytes_, short_bytes_ + bytes.size()));
      long_.append(short_, std::exchange(short_bytes_, 0));
    }
    long_.append(bytes.data(), bytes.size());
  }
  void Flush() {
    if (short_bytes_ > 0) chain_.AppendCopy({short_, std::exchange(short_bytes_, 0)});
    if (long_.empty()) return;
    if (long_.capacity() <= 2 * long_.size()) {
      chain_.Append(std::exchange(long_, std::string()));
      return;
    }
    chain_.AppendCopy(long_);
    long_.clear();  // the rest of its memory is for what comes next
  }

  static constexpr size_t kVarintBytesMax = 10;

  const size_t expected_bytes_;
  // What was not flushed yet: in one of these.
  char short_[128];
  size_t short_bytes_ = 0;
  std::string long_;
  ByteChain chain_;
};

}  // namespace tidemark::server
