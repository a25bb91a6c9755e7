// SHA-256, FIPS 180-4.

#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace fcn_edge::detail {

class Sha256 {
 public:
  static std::string of(const std::uint8_t* data, std::size_t size) {
    Sha256 hash;
    std::size_t at = 0;
    for (; size - at >= 64; at += 64) hash.compress(data + at);
    std::array<std::uint8_t, 128> end{};
    const std::size_t rest = size - at, length = rest < 56 ? 64 : 128;
    if (rest != 0) std::memcpy(end.data(), data + at, rest);
    end[rest] = 0x80;
    for (std::size_t i = 0; i < 8; ++i)
      end[length - 1 - i] = static_cast<std::uint8_t>((static_cast<std::uint64_t>(size) * 8) >> (8 * i));
    for (std::size_t i = 0; i < length; i += 64) hash.compress(end.data() + i);
    std::string digits;
    for (std::uint32_t word : hash.state_)
      for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[(word >> shift) & 15];
    return digits;
  }

 private:
  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

  static std::uint32_t rotated(std::uint32_t word, int by) { return (word >> by) | (word << (32 - by)); }

  static const std::array<std::uint32_t, 64>& constants() {
    static const auto table =
        [] {  // the first 32 bits of the fractions of the cube roots of the first primes
          std::array<std::uint32_t, 64> values{};
          std::size_t count = 0;
          for (int n = 2; count < values.size(); ++n) {
            bool prime = true;
            for (int d = 2; d * d <= n; ++d) prime = prime && n % d != 0;
            if (!prime) continue;
            const double root = std::cbrt(n);
            values[count++] = static_cast<std::uint32_t>((root - std::floor(root)) * 4294967296.0);
          }
          return values;
        }();
    return table;
  }

  void compress(const std::uint8_t* block) {
    std::array<std::uint32_t, 64> w;
    for (std::size_t i = 0; i < 16; ++i)
      w[i] = std::uint32_t{block[4 * i]} << 24 | std::uint32_t{block[4 * i + 1]} << 16 |
             std::uint32_t{block[4 * i + 2]} << 8 | block[4 * i + 3];
    for (std::size_t i = 16; i < 64; ++i)
      w[i] = w[i - 16] + (rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ (w[i - 15] >> 3)) + w[i - 7] +
             (rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ (w[i - 2] >> 10));
    auto [a, b, c, d, e, f, g, h] = state_;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t first = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                                  ((e & f) ^ (~e & g)) + constants()[i] + w[i];
      const std::uint32_t second =
          (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
    }
    const std::array<std::uint32_t, 8> more{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) state_[i] += more[i];
  }
};

}  // namespace fcn_edge::detail
