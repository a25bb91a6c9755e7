// A model file, checked before onnxruntime sees it: its seal, then its card and its self-test, which are JSON
// in the file's metadata.

#pragma once

#include "errors.hpp"
#include "inflate.hpp"
#include "json.hpp"
#include "sha256.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace fcn_edge {

struct ClassInfo {
  int id;
  std::string name;
  std::array<std::uint8_t, 3> color;  // red, green, blue
};

struct Card {
  std::string name, description, license, precision;
  std::vector<ClassInfo> classes;
  int unlabeled;  // 255, or 65535 of more than 255 classes: never a class
  int channels;
  std::string dtype;  // of a pixel: uint8, uint16, float32
  double scale;
  int smallest_size;
  std::pair<int, int> largest_size;  // height, width; 0 means any
  std::string target;                // of a file of lower precision
  bool rejects = false;              // whether the file leaves pixels unlabeled: of low confidence, or the border
  bool wide() const { return unlabeled != 255; }
};

namespace detail {

struct GoldenCase {
  std::size_t batch, height, width;
  std::uint32_t seed;
  std::string input_sha256;
  std::vector<std::uint16_t> labels;
};

struct Model {
  Bytes bytes;
  std::string digest;
  Card card;
  std::vector<GoldenCase> golden;
};

inline Bytes read_file(const std::string& path) {
  std::error_code problem;
  const std::filesystem::file_status status = std::filesystem::status(path, problem);
  if (!std::filesystem::exists(status)) throw ModelError("there is no model file " + path);
  if (std::filesystem::is_directory(status)) throw ModelError(path + " is a folder, expected a model file");
  if (!std::filesystem::is_regular_file(status))
    throw ModelError(path + " is a pipe, socket or device, expected a regular file");
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  if (!stream) throw ModelError(text("the model file '", path, "' cannot be opened"));
  const std::streamoff size = stream.tellg();
  if (size < 0 || size > 0x7fffffff)
    throw ModelError(text(path, " has ", size, " bytes, an ONNX file has at most 2147483647"));
  Bytes bytes(static_cast<std::size_t>(size));
  stream.seekg(0);
  if (!stream.read(reinterpret_cast<char*>(bytes.data()), size))
    throw ModelError(path + " became shorter while it was read: open it again when it is complete");
  return bytes;
}

inline void check_seal(const Bytes& bytes, const std::string& name) {
  static const std::string key = "fcn_edge.sha256";
  static const std::string prefix = "\x72\x53\x0a\x0f" + key + "\x12\x40";
  const std::size_t length = prefix.size() + 64;
  if (bytes.size() <= length)
    throw ModelError(
        text(name, " has ", bytes.size(), " bytes, too few for a model: copy or export it again"));
  const std::string changed = name +
                              " was changed after export, or is damaged (its seal does not match): export "
                              "again, or `fcn-edge verify --reseal`";
  const auto end = bytes.end() - static_cast<std::ptrdiff_t>(length);
  const std::string digits(end + static_cast<std::ptrdiff_t>(prefix.size()), bytes.end());
  const bool sealed = std::equal(prefix.begin(), prefix.end(), end,
                                 [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }) &&
                      digits.find_first_not_of("0123456789abcdef") == digits.npos;
  if (!sealed) {
    if (std::search(bytes.begin(), bytes.end(), key.begin(), key.end()) != bytes.end())
      throw ModelError(changed);
    throw ModelError(name +
                     " is not sealed: expected a model that `fcn-edge export` wrote, whole; export it, or "
                     "copy it again if the copy was cut");
  }
  if (Sha256::of(bytes.data(), bytes.size() - length) != digits) throw ModelError(changed);
}

// Every field with a length of a protobuf message: its number and its bytes.
inline std::vector<std::pair<std::uint64_t, std::string_view>> fields_of(std::string_view message,
                                                                         const std::string& name) {
  std::vector<std::pair<std::uint64_t, std::string_view>> fields;
  std::size_t at = 0;
  const auto damaged = [&] {
    return ModelError(name + " is not an ONNX model, or it is damaged: export again");
  };
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at >= message.size()) throw damaged();
      const auto byte = static_cast<std::uint8_t>(message[at++]);
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    throw damaged();
  };
  while (at < message.size()) {
    const std::uint64_t key = varint();
    std::uint64_t length = 0;
    switch (key & 7) {
      case 0:
        varint();
        continue;
      case 1:
        length = 8;
        break;
      case 2:
        length = varint();
        break;
      case 5:
        length = 4;
        break;
      default:
        throw damaged();
    }
    if (length > message.size() - at) throw damaged();
    if ((key & 7) == 2) fields.emplace_back(key >> 3, message.substr(at, static_cast<std::size_t>(length)));
    at += static_cast<std::size_t>(length);
  }
  return fields;
}

class Fields {  // of one JSON object of the file, each checked
 public:
  Fields(const Json& values, std::string subject, std::string where = "")
      : values_(values), subject_(std::move(subject)), where_(std::move(where)) {}

  const Json& operator[](const std::string& key) const { return values_[key]; }

  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const {
    throw ModelError(text(subject_, ": field '", where_, key, "' is ", shown(values_[key]), ", expected ",
                          expected, ": export again"));
  }
  std::string string(const std::string& key) const {
    if (values_[key].kind != Json::Kind::string) refuse(key, "text");
    return values_[key].string;
  }
  int integer(const std::string& key, int low, int high = 0x7fffffff) const {
    const Json& value = values_[key];
    if (value.kind != Json::Kind::number || !(value.number >= low && value.number <= high) ||
        value.number != std::floor(value.number))
      refuse(key, text("a whole number from ", low, " to ", high));
    return static_cast<int>(value.number);
  }
  double positive(const std::string& key) const {
    const Json& value = values_[key];
    if (value.kind != Json::Kind::number || !std::isfinite(value.number) || value.number <= 0)
      refuse(key, "a finite number above 0");
    return value.number;
  }
  const std::vector<Json>& list(const std::string& key, std::size_t low, std::size_t high,
                                const std::string& of) const {
    const Json& value = values_[key];
    if (value.kind != Json::Kind::list || value.list.size() < low || value.list.size() > high)
      refuse(key, text("a list of ", low, " to ", high, " ", of));
    return value.list;
  }
  Fields within(const Json& value, const std::string& key) const {
    return {value, subject_, where_ + key + "."};
  }

 private:
  const Json& values_;
  std::string subject_, where_;

  static std::string quoted(const std::string& value) {
    std::size_t end = std::min<std::size_t>(value.size(), 57);
    while (end < value.size() && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80)
      --end;  // whole characters
    return "'" + value.substr(0, end) + (end < value.size() ? "...'" : "'");
  }

  static std::string shown(const Json& value) {
    switch (value.kind) {
      case Json::Kind::null:
        return "null or missing";
      case Json::Kind::boolean:
        return value.number != 0 ? "true" : "false";
      case Json::Kind::number:
        return text(value.number);
      case Json::Kind::string:
        return quoted(value.string);
      case Json::Kind::list:
        return text("a list of ", value.list.size());
      default:
        return "an object";
    }
  }
};

inline Card read_card(const Fields& fields) {
  Card card;
  if (fields.string("schema") != "fcn-edge-card/1")
    fields.refuse("schema", "'fcn-edge-card/1' (a newer one needs a newer fcn-edge)");
  card.name = fields.string("name");
  card.description = fields.string("description");
  card.license = fields.string("license");
  card.precision = fields.string("precision");
  for (const Json& value : fields.list("classes", 2, 65535, "classes")) {
    const int id = static_cast<int>(card.classes.size());
    const Fields entry = fields.within(value, text("classes[", id, "]"));
    if (entry.integer("id", 0) != id) entry.refuse("id", text(id));
    ClassInfo info{id, entry.string("name"), {}};
    const std::vector<Json>& color = entry.list("color", 3, 3, "numbers: red, green, blue");
    for (std::size_t i = 0; i < 3; ++i) {
      if (color[i].kind != Json::Kind::number || !(color[i].number >= 0 && color[i].number <= 255))
        entry.refuse("color", "numbers from 0 to 255");
      info.color[i] = static_cast<std::uint8_t>(color[i].number);
    }
    card.classes.push_back(std::move(info));
  }
  card.unlabeled = card.classes.size() <= 255 ? 255 : 65535;
  if (fields.integer("unlabeled", 0) != card.unlabeled) fields.refuse("unlabeled", text(card.unlabeled));
  const Fields input = fields.within(fields["input"], "input");
  card.channels = input.integer("channels", 1, 4096);
  card.dtype = input.string("dtype");
  if (card.dtype != "uint8" && card.dtype != "uint16" && card.dtype != "float32")
    input.refuse("dtype", "one of uint8, uint16, float32");
  card.scale = input.positive("scale");
  const Fields geometry = fields.within(fields["geometry"], "geometry");
  card.smallest_size = geometry.integer("smallest_size", 1);
  card.largest_size = {0, 0};
  if (geometry["largest_size"].kind != Json::Kind::null) {
    const std::vector<Json>& sides = geometry.list("largest_size", 2, 2, "numbers");
    for (const Json& side : sides)
      if (side.kind != Json::Kind::number || !(side.number >= 1 && side.number <= 0x7fffffff))
        geometry.refuse("largest_size", "whole numbers");
    card.largest_size = {static_cast<int>(sides[0].number), static_cast<int>(sides[1].number)};
  }
  if (fields["lowering"].kind == Json::Kind::object)
    card.target = fields.within(fields["lowering"], "lowering").string("target");
  card.rejects = fields["reject"].kind == Json::Kind::number;
  card.rejects |= fields["net"]["border"].string == "unlabeled";
  return card;
}

inline std::vector<GoldenCase> read_golden(const Fields& fields, const Card& card) {
  if (fields.string("schema") != "fcn-edge-golden/1")
    fields.refuse("schema", "'fcn-edge-golden/1' (a newer one needs a newer fcn-edge)");
  const std::string dtype = card.wide() ? "uint16" : "uint8";
  if (fields.string("dtype") != dtype)
    fields.refuse("dtype", text(dtype, " for the card's ", card.classes.size(), " classes"));
  std::vector<GoldenCase> cases;
  std::size_t pixels = 0;
  for (const Json& value : fields.list("cases", 1, 16, "cases")) {
    const Fields entry = fields.within(value, text("cases[", cases.size(), "]"));
    const auto side = [&](const char* key) { return static_cast<std::size_t>(entry.integer(key, 1, 4096)); };
    GoldenCase read{side("batch"),
                    side("height"),
                    side("width"),
                    static_cast<std::uint32_t>(entry.integer("seed", 1)),
                    entry.string("input_sha256"),
                    {}};
    const std::size_t count = read.batch * read.height * read.width;
    if ((pixels += count) > (1 << 24)) entry.refuse("batch", "at most 16777216 pixels in all");
    const std::size_t size = card.wide() ? 2 : 1;
    Bytes raw;
    try {
      raw = Inflater::of(from_base64(entry.string("labels")), count * size);
    } catch (const std::invalid_argument& error) {
      entry.refuse("labels", text("base64 of zlib data of ", count * size, " bytes (", error.what(), ")"));
    }
    for (std::size_t i = 0; i < count; ++i)
      read.labels.push_back(
          static_cast<std::uint16_t>(size == 1 ? raw[i] : raw[2 * i] | raw[2 * i + 1] << 8));
    cases.push_back(std::move(read));
  }
  return cases;
}

inline Json parsed(const std::map<std::string, std::string_view>& metadata, const std::string& key,
                   const std::string& subject, const std::string& name) {
  const auto found = metadata.find(key);
  if (found == metadata.end())
    throw ModelError(
        text(name, " has no '", key, "' in its metadata: expected a model `fcn-edge export` wrote"));
  if (found->second.size() > (4U << 20))
    throw ModelError(
        text(subject, " has ", found->second.size(), " bytes, expected at most ", 4 << 20, ": export again"));
  try {
    return JsonReader(found->second).document();
  } catch (const std::invalid_argument& error) {
    throw ModelError(text(subject, " is not JSON (", error.what(), "): export again"));
  }
}

inline Model read_model(const std::string& path) {
  Model model{read_file(path), {}, {}, {}};
  check_seal(model.bytes, path);
  model.digest = Sha256::of(model.bytes.data(), model.bytes.size());
  std::map<std::string, std::string_view> metadata;
  const std::string_view whole(reinterpret_cast<const char*>(model.bytes.data()), model.bytes.size());
  for (const auto& [number, record] : fields_of(whole, path)) {
    if (number != 14) continue;  // metadata_props of ModelProto
    std::string_view key, value;
    for (const auto& [part, content] : fields_of(record, path)) (part == 1 ? key : value) = content;
    metadata[std::string(key)] = value;
  }
  const Json card = parsed(metadata, "fcn_edge.card", "the card", path);
  model.card = read_card(Fields(card, "the card"));
  const Json golden = parsed(metadata, "fcn_edge.golden", "the model's self-test", path);
  model.golden = read_golden(Fields(golden, "the model's self-test"), model.card);
  return model;
}

}  // namespace detail

}  // namespace fcn_edge
