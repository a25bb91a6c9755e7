// The self-test's images: computed from integers alone, so that every machine sees the same pixels.

#pragma once

#include "model.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace fcn_edge::detail {

inline std::uint32_t hashed(std::uint64_t b, std::uint64_t y, std::uint64_t x, std::uint64_t c,
                            std::uint32_t offset) {
  auto value = static_cast<std::uint32_t>(((b * 4096 + y) * 4096 + x) * 16 + c) + offset;  // lowbias32
  value ^= value >> 16;
  value *= 0x7feb352dU;
  value ^= value >> 15;
  value *= 0x846ca68bU;
  return value ^ value >> 16;
}

template <class Pixel>
std::vector<Pixel> pattern(const GoldenCase& size, const Card& card) {
  const std::uint32_t offset = size.seed * 0x9e3779b9U;
  const auto channels = static_cast<std::size_t>(card.channels);
  const auto divisor = static_cast<float>(255 * card.scale);
  std::vector<Pixel> image;
  image.reserve(size.batch * size.height * size.width * channels);
  for (std::size_t b = 0; b < size.batch; ++b)
    for (std::size_t y = 0; y < size.height; ++y)
      for (std::size_t x = 0; x < size.width; ++x)
        for (std::size_t c = 0; c < channels; ++c) {
          const auto point = [&](std::size_t row, std::size_t column) {
            return static_cast<int>(hashed(b, row, column, c, offset) >> 24);
          };
          const std::size_t row = y / 16, column = x / 16;
          const int down = static_cast<int>(y % 16), right = static_cast<int>(x % 16);
          const int left = (16 - down) * point(row, column) + down * point(row + 1, column);
          const int other = (16 - down) * point(row, column + 1) + down * point(row + 1, column + 1);
          const int smooth = ((16 - right) * left + right * other + 128) >> 8;
          const int noise =
              static_cast<int>(((hashed(b, y, x, c, offset + 0x85ebca6bU) >> 16) * 17) >> 16) - 8;
          const int value = std::clamp(smooth + noise, 0, 255);
          if constexpr (std::is_same_v<Pixel, float>)
            image.push_back(static_cast<float>(value) / divisor);
          else
            image.push_back(static_cast<Pixel>(sizeof(Pixel) == 1 ? value : value * 257));
        }
  return image;
}

}  // namespace fcn_edge::detail
