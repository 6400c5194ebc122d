// Header blocks against nghttp2's sides of HPACK: what we write it reads, with a table of any size,
// and what it writes, or what that becomes when bits turn, we read as it does.

#include <nghttp2/nghttp2.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "src/base/check.h"
#include "src/server/http2/header_block_reader.h"
#include "src/server/http2/header_block_writer.h"
#include "src/server/http2/other_decoder_for_test.h"

namespace tidemark::server::http2 {
namespace {

using Pairs = HeaderPairs;

// Nothing when the block is broken.
Pairs Decoded(OtherDecoder& client, absl::string_view block) {
  Pairs pairs;
  return client.Decode(block, pairs) ? pairs : Pairs();
}

constexpr Header kRepeating[] = {
    {":status", "200", true},    {"content-type", "application/grpc", true},
    {"grpc-status", "0", true},  {"a", "b", true},
    {"fourth", "of them", true}, {"one that finds no place", "any more", true}};

TEST(HeaderBlockWriterTest, AClientReadsWhatWasWritten) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    HeaderBlockWriter writer;
    OtherDecoder client;
    for (int i = 0; i < 60; ++i) {
      if (random() % 8 == 0) {
        // What SETTINGS say is known to both before the next block.
        const uint32_t table_bytes = random() % 2 == 0 ? random() % 200 : random() % 10000;
        writer.SetMaxTableBytes(table_bytes);
        client.SetTableBytes(table_bytes);
      }
      Pairs expected;
      std::vector<Header> headers;
      const std::string text(random() % 300, 'x');
      for (uint32_t n = random() % 5; n > 0; --n) {
        headers.push_back(random() % 3 == 0 ? Header{"grpc-message", text}
                                            : kRepeating[random() % std::size(kRepeating)]);
        expected.emplace_back(headers.back().name, headers.back().value);
      }
      std::string block;
      writer.Append(headers, block);
      ASSERT_EQ(Decoded(client, block), expected) << round << " " << i;
    }
  }
}

TEST(HeaderBlockWriterTest, WhatRepeatsTakesAByte) {
  HeaderBlockWriter writer;
  std::string first, second, third;
  writer.Append(absl::MakeSpan(kRepeating, 2), first);
  writer.Append(absl::MakeSpan(kRepeating, 2), second);
  writer.Append(absl::MakeSpan(kRepeating, 3), third);
  EXPECT_GT(first.size(), 16u);
  EXPECT_EQ(second, "\x88\xbe");  // RFC 7541, appendix A: 8; the newest: 62
  EXPECT_EQ(third.substr(0, 2), "\x88\xbe");
  std::string fourth;
  writer.Append(absl::MakeSpan(kRepeating, 3), fourth);
  EXPECT_EQ(fourth, "\x88\xbf\xbe");  // pushed back by one
}

TEST(HeaderBlockWriterTest, ATableOfNothingHoldsNothing) {
  HeaderBlockWriter writer;
  writer.SetMaxTableBytes(0);
  std::string first, second;
  writer.Append(absl::MakeSpan(kRepeating, 2), first);
  writer.Append(absl::MakeSpan(kRepeating, 2), second);
  EXPECT_EQ(first.substr(2), second);  // but for telling it so
  OtherDecoder client;
  client.SetTableBytes(0);
  EXPECT_EQ(Decoded(client, first).size(), 2u);
  EXPECT_EQ(Decoded(client, second).size(), 2u);
}

// nghttp2's encoder, of a client that asks for a smaller table now and then.
class ClientEncoder {
 public:
  ClientEncoder() { CHECK(nghttp2_hd_deflate_new(&deflater_, 4096) == 0); }
  ~ClientEncoder() { nghttp2_hd_deflate_del(deflater_); }

  void SetTableBytes(size_t byte_count) {
    CHECK(nghttp2_hd_deflate_change_table_size(deflater_, byte_count) == 0);
  }
  std::string Encode(Pairs& pairs, uint8_t flags) {
    std::vector<nghttp2_nv> headers;
    for (auto& [name, value] : pairs) {
      headers.push_back({reinterpret_cast<uint8_t*>(name.data()),
                         reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(),
                         flags});
    }
    std::string block(1 << 16, '\0');
    const ssize_t size = nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<uint8_t*>(block.data()),
                                               block.size(), headers.data(), headers.size());
    CHECK(size >= 0);
    block.resize(static_cast<size_t>(size));
    return block;
  }

 private:
  nghttp2_hd_deflater* deflater_ = nullptr;
};

Pairs RandomPairs(std::mt19937& random) {
  Pairs pairs;
  for (uint32_t n = random() % 9; n > 0; --n) {
    std::string value(random() % 60, static_cast<char>('a' + random() % 26));
    if (random() % 3 == 0) {
      for (char& c : value) c = static_cast<char>(random());  // long codes
    }
    if (random() % 50 == 0) value += std::string(5000, 'x');  // larger than the table
    pairs.emplace_back("name" + std::to_string(random() % 40), std::move(value));
  }
  if (random() % 2 == 0) pairs.emplace_back(":method", random() % 2 == 0 ? "POST" : "PUT");
  return pairs;
}

// Whether it is whole.
bool Read(HeaderBlockReader& reader, absl::string_view block, Pairs& read) {
  read.clear();
  return reader.Read(block, [&](absl::string_view name, absl::string_view value, HeaderNote&) {
    read.emplace_back(std::string(name), std::string(value));
    return true;
  });
}

TEST(HeaderBlockReaderTest, ReadsWhatAClientWrites) {
  std::mt19937 random(9);
  for (int round = 0; round < 40; ++round) {
    ClientEncoder client;
    HeaderBlockReader reader;
    for (int i = 0; i < 100; ++i) {
      if (random() % 10 == 0) client.SetTableBytes(random() % 4097);
      Pairs sent = RandomPairs(random);
      const std::string block =
          client.Encode(sent, random() % 4 == 0 ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE);
      Pairs read;
      ASSERT_TRUE(Read(reader, block, read));
      ASSERT_EQ(read, sent);
    }
  }
}

// RFC 7541, appendix C.4.
TEST(HeaderBlockReaderTest, TheRfcsRequests) {
  HeaderBlockReader reader;
  Pairs read;
  ASSERT_TRUE(Read(reader, absl::HexStringToBytes("828684418cf1e3c2e5f23a6ba0ab90f4ff"), read));
  EXPECT_EQ(read, (Pairs{{":method", "GET"},
                         {":scheme", "http"},
                         {":path", "/"},
                         {":authority", "www.example.com"}}));
  ASSERT_TRUE(Read(reader, absl::HexStringToBytes("828684be5886a8eb10649cbf"), read));
  EXPECT_EQ(read, (Pairs{{":method", "GET"},
                         {":scheme", "http"},
                         {":path", "/"},
                         {":authority", "www.example.com"},
                         {"cache-control", "no-cache"}}));
  ASSERT_TRUE(Read(
      reader, absl::HexStringToBytes("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"), read));
  EXPECT_EQ(read, (Pairs{{":method", "GET"},
                         {":scheme", "https"},
                         {":path", "/index.html"},
                         {":authority", "www.example.com"},
                         {"custom-key", "custom-value"}}));
}

// It takes what another implementation takes, and as the same.
TEST(HeaderBlockReaderTest, ReadsDamageAsAnotherDoes) {
  std::mt19937 random(11);
  int taken = 0;
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    ClientEncoder client;
    HeaderBlockReader reader;
    OtherDecoder other;
    for (uint32_t blocks = 1 + random() % 4; blocks > 0; --blocks) {
      Pairs sent = RandomPairs(random);
      std::string block = client.Encode(sent, NGHTTP2_NV_FLAG_NONE);
      for (uint32_t n = random() % 3; n > 0 && !block.empty(); --n) {
        block[random() % block.size()] ^= static_cast<char>(1 << random() % 8);
      }
      if (random() % 16 == 0) block.resize(random() % (block.size() + 1));
      Pairs read, others;
      const bool is_whole = Read(reader, block, read);
      ASSERT_EQ(is_whole, other.Decode(block, others)) << round;
      ++(is_whole ? taken : refused);
      if (!is_whole) break;
      ASSERT_EQ(read, others) << round;
    }
  }
  EXPECT_GT(taken, 1000);
  EXPECT_GT(refused, 1000);
}

TEST(HeaderBlockReaderTest, EveryNumberOfTheStaticTable) {
  for (int number = 1; number <= 61; ++number) {
    const std::string block(1, static_cast<char>(0x80 | number));
    HeaderBlockReader reader;
    OtherDecoder other;
    Pairs read, others;
    ASSERT_TRUE(Read(reader, block, read));
    ASSERT_TRUE(other.Decode(block, others));
    EXPECT_EQ(read, others);
  }
}

// However a client fills the table, and whatever it sends beside it.
TEST(HeaderBlockReaderTest, HoldsNoMoreThanATableful) {
  ClientEncoder client;
  HeaderBlockReader reader;
  Pairs read;
  for (int i = 0; i < 300; ++i) {
    const size_t name_bytes = i % 2 == 0 ? 4060 : 3000;
    Pairs sent{{std::string(name_bytes, static_cast<char>('a' + i % 26)), ""}};
    const uint8_t flags = i % 3 == 0 ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
    ASSERT_TRUE(Read(reader, client.Encode(sent, flags), read));
    Pairs large{{"a", std::string(30000, 'x')}};
    ASSERT_TRUE(Read(reader, client.Encode(large, NGHTTP2_NV_FLAG_NO_INDEX), read));
    constexpr size_t kOwnBytes = 128 * 15;  // of short texts, in place
    ASSERT_LE(reader.held_bytes(), kHeaderTableBytes + kOwnBytes + 1024) << i;
  }
}

// A note belongs to a header's place, from when it came until the table forgets it.
TEST(HeaderBlockReaderTest, NotesStayWithTheirHeaders) {
  std::mt19937 random(13);
  ClientEncoder client;
  HeaderBlockReader reader;
  std::map<std::string, uint32_t> kinds;
  int reminded = 0;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 100 == 0) client.SetTableBytes(random() % 4097);
    Pairs sent = RandomPairs(random);
    const std::string block = client.Encode(sent, NGHTTP2_NV_FLAG_NONE);
    ASSERT_TRUE(
        reader.Read(block, [&](absl::string_view name, absl::string_view value, HeaderNote& note) {
          const std::string header = absl::StrCat(name, "=", value);
          const uint32_t kind = kinds.emplace(header, kinds.size() + 1).first->second;
          EXPECT_TRUE(note.kind == 0 || note.kind == kind) << header;
          reminded += note.kind == kind;
          note.kind = kind;
          return true;
        }));
  }
  EXPECT_GT(reminded, 100);
}

TEST(HeaderBlockReaderTest, BrokenBlocksAreRefused) {
  const auto accepts = [](absl::string_view block) {
    HeaderBlockReader reader;
    return reader.Read(block,
                       [](absl::string_view, absl::string_view, HeaderNote&) { return true; });
  };
  EXPECT_TRUE(accepts(""));
  EXPECT_TRUE(accepts("\x82"));
  EXPECT_FALSE(accepts("\xc0"));                           // nothing at that place
  EXPECT_FALSE(accepts(absl::string_view("\x80", 1)));     // place zero
  EXPECT_FALSE(accepts("\x40"));                           // cut off
  EXPECT_FALSE(accepts(absl::string_view("\0\5abc", 5)));  // a name that is cut off
  EXPECT_FALSE(accepts("\x3f\xff\xff\xff\xff\x0f"));       // a table larger than allowed
  EXPECT_FALSE(accepts("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));  // a number too large
}

TEST(HeaderBlockReaderTest, StopsWhenNobodyWantsMore) {
  HeaderBlockReader reader;
  int told = 0;
  EXPECT_FALSE(reader.Read("\x82\x86\x84", [&](absl::string_view, absl::string_view, HeaderNote&) {
    return ++told < 2;
  }));
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace tidemark::server::http2
