// Reads JSON, as far as cards need it; std::invalid_argument where it is not JSON.

#pragma once

#include "errors.hpp"

#include <cstdint>
#include <cstring>
#include <locale>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fcn_edge::detail {

struct Json {
  enum class Kind { null, boolean, number, string, list, object };
  Kind kind = Kind::null;
  double number = 0;
  std::string string;
  std::vector<Json> list;
  std::map<std::string, Json> object;

  const Json& operator[](const std::string& key) const {
    static const Json nothing;
    const auto found = object.find(key);
    return found == object.end() ? nothing : found->second;
  }
};

class JsonReader {
 public:
  explicit JsonReader(std::string_view source) : source_(source) {}

  Json document() {
    check_utf8();
    Json value = read(0);
    space();
    if (at_ != source_.size()) fail();
    return value;
  }

 private:
  static constexpr int deepest = 32;
  std::string_view source_;
  std::size_t at_ = 0;

  [[noreturn]] void fail() const { throw std::invalid_argument(text("at character ", at_)); }

  void check_utf8() {
    for (std::size_t i = 0, more = 0; i < source_.size(); i += 1 + more) {
      const auto byte = static_cast<unsigned char>(source_[i]);
      more = byte < 0x80 ? 0 : byte >= 0xc2 && byte < 0xe0 ? 1 : byte >= 0xe0 && byte < 0xf0 ? 2 : 3;
      bool good = more < 3 || (byte >= 0xf0 && byte < 0xf5);
      for (std::size_t k = 1; k <= more; ++k)
        good = good && i + k < source_.size() && (static_cast<unsigned char>(source_[i + k]) & 0xc0) == 0x80;
      if (!good) at_ = i, fail();
    }
  }

  void space() {
    while (at_ < source_.size() && std::strchr(" \t\r\n", source_[at_]) && source_[at_] != '\0') ++at_;
  }

  bool take(char expected) {
    space();
    if (at_ >= source_.size() || source_[at_] != expected) return false;
    ++at_;
    return true;
  }

  bool take(std::string_view word) {
    if (source_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json read(int depth) {
    if (depth > deepest) fail();
    Json value;
    space();
    if (take('{')) {
      value.kind = Json::Kind::object;
      if (take('}')) return value;
      do {
        space();
        std::string key = characters();
        if (!take(':')) fail();
        value.object[std::move(key)] = read(depth + 1);
      } while (take(','));
      if (!take('}')) fail();
    } else if (take('[')) {
      value.kind = Json::Kind::list;
      if (take(']')) return value;
      do value.list.push_back(read(depth + 1));
      while (take(','));
      if (!take(']')) fail();
    } else if (at_ < source_.size() && source_[at_] == '"') {
      value.kind = Json::Kind::string;
      value.string = characters();
    } else if (take("null")) {
    } else if (take("true")) {
      value.kind = Json::Kind::boolean, value.number = 1;
    } else if (take("false")) {
      value.kind = Json::Kind::boolean;
    } else {
      value.kind = Json::Kind::number;
      const std::size_t start = at_;
      while (at_ < source_.size() && std::strchr("+-.0123456789eE", source_[at_]) && source_[at_] != '\0')
        ++at_;
      std::istringstream digits(std::string(source_.substr(start, at_ - start)));
      digits.imbue(std::locale::classic());
      if (!(digits >> value.number) || digits.peek() != std::char_traits<char>::eof()) fail();
    }
    return value;
  }

  std::uint32_t unit() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char digit = at_ < source_.size() ? source_[at_] : '\0';
      if (digit >= '0' && digit <= '9')
        value = 16 * value + static_cast<std::uint32_t>(digit - '0');
      else if (digit >= 'a' && digit <= 'f')
        value = 16 * value + static_cast<std::uint32_t>(digit - 'a' + 10);
      else if (digit >= 'A' && digit <= 'F')
        value = 16 * value + static_cast<std::uint32_t>(digit - 'A' + 10);
      else
        fail();
    }
    return value;
  }

  std::string characters() {
    if (!take('"')) fail();
    std::string result;
    while (at_ < source_.size() && source_[at_] != '"') {
      if (source_[at_] != '\\') {
        result += source_[at_++];
        continue;
      }
      if (++at_ >= source_.size()) fail();
      const char escape = source_[at_++];
      static constexpr std::string_view from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
      if (const std::size_t known = from.find(escape); known != from.npos) {
        result += to[known];
        continue;
      }
      if (escape != 'u') fail();
      std::uint32_t code = unit();
      if (code >= 0xd800 && code < 0xdc00) {
        if (!take("\\u")) fail();
        const std::uint32_t low = unit();
        if (low < 0xdc00 || low > 0xdfff) fail();
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      }
      if (code < 0x80) {
        result += static_cast<char>(code);
      } else {
        const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        static constexpr std::uint32_t marks[] = {0, 0xc0, 0xe0, 0xf0};
        result += static_cast<char>(marks[more] | (code >> (6 * more)));
        for (int i = more - 1; i >= 0; --i) result += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3f));
      }
    }
    if (!take('"')) fail();
    return result;
  }
};

}  // namespace fcn_edge::detail
