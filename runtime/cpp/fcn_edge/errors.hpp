// Errors that a user can fix, with the words of the Python runtime: what was got, what was expected, what to
// do.

#pragma once

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace fcn_edge {

// The message is one line that a terminal shows and does not obey, whatever a file put into it.
struct Error : std::runtime_error {
  explicit Error(const std::string& message) : std::runtime_error(printable(message)) {}

 private:
  static std::string printable(std::string text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]),
                 before = static_cast<unsigned char>(i ? text[i - 1] : 0);
      if (byte < 0x20 || byte == 0x7f) text[i] = ' ';
      if (before == 0xc2 && byte < 0xa0) text[i - 1] = text[i] = ' ';  // U+0080 to U+009F
    }
    return text;
  }
};
struct ModelError : Error {  // the file is missing, not ours, damaged, or breaks the contract
  using Error::Error;
};
struct InputError : Error {  // an image that cannot be segmented as it is
  using Error::Error;
};
struct VerificationError : Error {  // the self-test failed: the labels are not those of PyTorch
  using Error::Error;
};

namespace detail {

using Bytes = std::vector<std::uint8_t>;

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  (stream << ... << parts);
  return stream.str();
}

}  // namespace detail

}  // namespace fcn_edge
