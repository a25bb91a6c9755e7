// Unpacks zlib data (RFC 1950 and 1951) and base64; std::invalid_argument where they are damaged.

#pragma once

#include "errors.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fcn_edge::detail {

class Inflater {
 public:
  // Exactly `expected` bytes, or an exception; never more are made.
  static Bytes of(const Bytes& packed, std::size_t expected) {
    if (packed.size() < 6 || (packed[0] & 15) != 8 || (packed[0] * 256 + packed[1]) % 31 != 0 ||
        (packed[1] & 32))
      throw std::invalid_argument("not zlib data");
    Inflater inflater(packed, expected);
    while (!inflater.block()) {
    }
    if (inflater.out_.size() != expected) throw std::invalid_argument("too short");
    std::uint32_t a = 1, b = 0;
    for (std::uint8_t byte : inflater.out_) a = (a + byte) % 65521, b = (b + a) % 65521;
    std::uint32_t sum = 0;
    inflater.bit_ = (inflater.bit_ + 7) / 8 * 8;
    for (int i = 0; i < 4; ++i) sum = sum << 8 | inflater.bits(8);
    if (sum != (b << 16 | a)) throw std::invalid_argument("its checksum differs");
    return std::move(inflater.out_);
  }

 private:
  struct Code {  // canonical: how many codes there are of each length, and the symbols in their order
    std::array<int, 16> counts{};
    std::vector<int> symbols;

    explicit Code(const std::vector<int>& lengths) {
      for (int length : lengths) ++counts[static_cast<std::size_t>(length)];
      counts[0] = 0;
      for (int wanted = 1; wanted < 16; ++wanted)
        for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol)
          if (lengths[symbol] == wanted) symbols.push_back(static_cast<int>(symbol));
    }
  };

  const Bytes& in_;
  std::size_t bit_ = 16, expected_;
  Bytes out_;

  Inflater(const Bytes& packed, std::size_t expected) : in_(packed), expected_(expected) {
    out_.reserve(expected);
  }

  std::uint32_t bits(int count) {
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i, ++bit_) {
      if (bit_ / 8 >= in_.size()) throw std::invalid_argument("it ends early");
      value |= static_cast<std::uint32_t>((in_[bit_ / 8] >> (bit_ % 8)) & 1) << i;
    }
    return value;
  }

  void put(std::uint8_t byte) {
    if (out_.size() == expected_) throw std::invalid_argument("too long");
    out_.push_back(byte);
  }

  int symbol(const Code& code) {
    int value = 0, first = 0, index = 0;
    for (std::size_t length = 1; length < 16; ++length) {
      value |= static_cast<int>(bits(1));
      const int count = code.counts[length];
      if (value - first < count) return code.symbols.at(static_cast<std::size_t>(index + value - first));
      index += count, first = (first + count) << 1, value <<= 1;
    }
    throw std::invalid_argument("an unknown code");
  }

  bool block() {  // whether it was the last
    const bool last = bits(1) != 0;
    switch (bits(2)) {
      case 0: {
        bit_ = (bit_ + 7) / 8 * 8;
        const std::uint32_t length = bits(16);
        if ((length ^ 0xffff) != bits(16)) throw std::invalid_argument("a damaged block");
        for (std::uint32_t i = 0; i < length; ++i) put(static_cast<std::uint8_t>(bits(8)));
        break;
      }
      case 1: {
        std::vector<int> lengths(288, 8);
        std::fill(lengths.begin() + 144, lengths.begin() + 256, 9);
        std::fill(lengths.begin() + 256, lengths.begin() + 280, 7);
        codes(Code(lengths), Code(std::vector<int>(30, 5)));
        break;
      }
      case 2: {
        static constexpr int order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
        const std::size_t literals = bits(5) + 257, distances = bits(5) + 1, given = bits(4) + 4;
        std::vector<int> first(19, 0), lengths;
        for (std::size_t i = 0; i < given; ++i)
          first[static_cast<std::size_t>(order[i])] = static_cast<int>(bits(3));
        const Code code(first);
        while (lengths.size() < literals + distances) {
          const int next = symbol(code);
          if (next < 16) {
            lengths.push_back(next);
            continue;
          }
          if (next == 16 && lengths.empty()) throw std::invalid_argument("a damaged block");
          const int length = next == 16 ? lengths.back() : 0;
          const std::uint32_t times = next == 16 ? 3 + bits(2) : next == 17 ? 3 + bits(3) : 11 + bits(7);
          lengths.insert(lengths.end(), times, length);
        }
        if (lengths.size() != literals + distances) throw std::invalid_argument("a damaged block");
        const auto middle = lengths.begin() + static_cast<std::ptrdiff_t>(literals);
        codes(Code({lengths.begin(), middle}), Code({middle, lengths.end()}));
        break;
      }
      default:
        throw std::invalid_argument("an unknown block");
    }
    return last;
  }

  void codes(const Code& literals, const Code& distances) {
    static constexpr int lengths[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                      31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static constexpr int more[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                   2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    for (;;) {
      const int next = symbol(literals);
      if (next == 256) return;
      if (next < 256) {
        put(static_cast<std::uint8_t>(next));
        continue;
      }
      if (next > 285) throw std::invalid_argument("an unknown length");
      const std::size_t length = static_cast<std::size_t>(lengths[next - 257]) + bits(more[next - 257]);
      const int code = symbol(distances);
      if (code > 29) throw std::invalid_argument("an unknown distance");
      const int extra = code < 2 ? 0 : code / 2 - 1;
      const std::size_t base =
          code < 2 ? static_cast<std::size_t>(code) : std::size_t{2U + code % 2U} << extra;
      const std::size_t distance = 1 + base + bits(extra);
      if (distance > out_.size()) throw std::invalid_argument("a distance before the start");
      for (std::size_t i = 0; i < length; ++i) put(out_[out_.size() - distance]);
    }
  }
};

inline Bytes from_base64(const std::string& digits) {
  static constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t end = digits.find_last_not_of('=') + 1;
  if (digits.size() % 4 != 0 || digits.size() - end > 2) throw std::invalid_argument("not base64");
  Bytes bytes;
  std::uint32_t held = 0;
  for (std::size_t i = 0; i < end; ++i) {
    const std::size_t value = alphabet.find(digits[i]);
    if (value == alphabet.npos) throw std::invalid_argument("not base64");
    held = (held << 6 | static_cast<std::uint32_t>(value)) & 0xffffff;
    if (i % 4 != 0) bytes.push_back(static_cast<std::uint8_t>(held >> (6 - 2 * (i % 4))));
  }
  return bytes;
}

}  // namespace fcn_edge::detail
