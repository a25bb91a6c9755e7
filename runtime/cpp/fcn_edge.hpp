// Runs models of fcn-edge in C++17, on onnxruntime 1.18 or newer. Include this file; the folder beside it
// holds its parts.
//
//     fcn_edge::Segmenter segmenter("corridor.onnx");
//     fcn_edge::Segmentation result = segmenter.segment(rgb, height, width);  // uint8, rows of RGB pixels
//     segmenter.card().classes[result.at(0, 0)].name;
//
// The file's seal is checked before onnxruntime sees it, and its self-test runs on opening, as in Python.
// What Python checks and this does not: the operators of the graph, and what they may make. Errors are
// exceptions of fcn_edge/errors.hpp, with Python's words. A segmenter may be used by many threads at once.

#pragma once

#include <onnxruntime_cxx_api.h>

#include "fcn_edge/errors.hpp"
#include "fcn_edge/model.hpp"
#include "fcn_edge/pattern.hpp"
#include "fcn_edge/sha256.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace fcn_edge {

// The labels of one image, row by row.
struct Segmentation {
  int height, width;
  std::vector<std::uint8_t> labels;
  std::vector<std::uint16_t> wide_labels;  // in the place of `labels`, of more than 255 classes
  std::vector<float> confidence;           // empty where the file does not offer it
  int at(int y, int x) const {
    const auto i =
        static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x);
    return wide_labels.empty() ? labels.at(i) : wide_labels.at(i);
  }
};

struct SelfTestReport {
  std::size_t pixels = 0, decided = 0, wrong = 0;
  std::set<int> distinct;
  bool blind() const { return distinct.size() < 2; }  // many wrong models would pass
};

struct Options {
  int threads = 0;  // of one operator on the CPU; 0 means all cores that this process may use
  // Let idle threads busy-wait between operators, 30 microseconds at most where onnxruntime knows the limit
  // (1.26 and newer, where it is the default); before, until the frame is done.
  std::optional<bool> spinning;
  std::int64_t max_pixels = 100'000'000;
  // Called last: for another provider, such as options.AppendExecutionProvider_CUDA(...).
  std::function<void(Ort::SessionOptions&)> configure;
};

namespace detail {

// Whether this processor accumulates 8-bit products without saturating: all do except x86 before VNNI.
inline bool adds_exactly() {
#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)
  std::ifstream stream("/proc/cpuinfo");
  for (std::string word; stream >> word;)
    if (word == "avx_vnni" || word == "avx512_vnni" || word == "amx_int8") return true;
  return false;
#else
  return true;
#endif
}

template <class Pixel>
constexpr const char* dtype_of = std::is_same_v<Pixel, std::uint8_t>    ? "uint8"
                                 : std::is_same_v<Pixel, std::uint16_t> ? "uint16"
                                                                        : "float32";

// Whether this onnxruntime limits how long a thread spins.
inline bool limits_spinning() {
  int major = 0, minor = 0;
  const int read = std::sscanf(OrtGetApiBase()->GetVersionString(), "%d.%d", &major, &minor);
  return read == 2 && (major > 1 || minor >= 26);
}

inline std::string one_line(const char* message) {
  std::istringstream words{std::string(message).substr(0, 400)};
  std::string line;
  for (std::string word; words >> word;) line += (line.empty() ? "" : " ") + word;
  return line;
}

}  // namespace detail

// A model, opened and ready for images.
class Segmenter {
 public:
  // Throws ModelError: missing, damaged, not ours, or onnxruntime cannot load it; VerificationError: its
  // self-test failed.
  explicit Segmenter(const std::string& path, Options options = {})
      : model_(detail::read_model(path)), options_(std::move(options)) {
    try {
      session_ = Ort::Session(environment(), model_.bytes.data(), model_.bytes.size(), session_options());
    } catch (const Ort::Exception& error) {
      throw ModelError("onnxruntime cannot load the model: " + detail::one_line(error.what()));
    }
    detail::Bytes().swap(model_.bytes);
    Ort::AllocatorWithDefaultOptions allocator;
    for (std::size_t i = 0; i < session_.GetOutputCount(); ++i)
      confidence_ =
          confidence_ || std::string(session_.GetOutputNameAllocated(i, allocator).get()) == "confidence";
    self_test();
  }

  const Card& card() const { return model_.card; }
  const std::string& digest() const { return model_.digest; }  // what sha256sum prints

  // Segment one image: height rows of width pixels, the card's channels of each side by side, RGB where they
  // are 3. The pixel's type is the card's dtype. Throws InputError, or ModelError where onnxruntime fails.
  template <class Pixel>
  Segmentation segment(const Pixel* pixels, int height, int width) const {
    check_image<Pixel>(pixels, height, width);
    const auto rows = static_cast<std::size_t>(height), columns = static_cast<std::size_t>(width);
    if constexpr (std::is_same_v<Pixel, float>)
      if (!std::all_of(pixels, pixels + rows * columns * static_cast<std::size_t>(card().channels),
                       [](float value) { return std::isfinite(value); }))
        throw InputError(
            "the image holds values that are NaN or infinite, expected finite ones: replace them");
    Segmentation result{height, width, {}, {}, {}};
    const auto values = run(pixels, {1, height, width, card().channels}, confidence_);
    const std::size_t count = rows * columns;
    if (card().wide()) {
      const auto* labels = values[0].template GetTensorData<std::uint16_t>();
      result.wide_labels.assign(labels, labels + count);
      check_labels(result.wide_labels);
    } else {
      const auto* labels = values[0].template GetTensorData<std::uint8_t>();
      result.labels.assign(labels, labels + count);
      check_labels(result.labels);
    }
    if (confidence_) {
      const auto* confidence = values[1].template GetTensorData<float>();
      result.confidence.assign(confidence, confidence + count);
    }
    return result;
  }

  // Run the self-test, as opening did: throws VerificationError where a label is not PyTorch's.
  SelfTestReport self_test() const {
    if (card().dtype == "uint8") return tested<std::uint8_t>();
    return card().dtype == "uint16" ? tested<std::uint16_t>() : tested<float>();
  }

 private:
  detail::Model model_;
  Options options_;
  mutable Ort::Session session_{nullptr};
  bool confidence_ = false;

  static Ort::Env& environment() {
    static Ort::Env env = [] {
#ifndef _WIN32
      // From 1.29 on, onnxruntime for Linux sends telemetry unless this is set; =0 in the environment keeps
      // it.
      ::setenv("ORT_DISABLE_TELEMETRY", "1", 0);
#endif
      return Ort::Env(ORT_LOGGING_LEVEL_FATAL, "fcn_edge");  // the text of an error is in the exception
    }();
    return env;
  }

  Ort::SessionOptions session_options() const {  // as the Python runtime's session.py sets them
    Ort::SessionOptions options;
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const char* spinning = options_.spinning.value_or(detail::limits_spinning()) ? "1" : "0";
    options.SetGraphOptimizationLevel(ORT_ENABLE_ALL)
        .SetIntraOpNumThreads(options_.threads > 0 ? options_.threads : static_cast<int>(cores))
        .SetInterOpNumThreads(1)
        .DisableMemPattern()
        .SetLogSeverityLevel(4)
        .AddConfigEntry("session.intra_op.allow_spinning", spinning)
        .AddConfigEntry("session.intra_op.spin_duration_us", "30")
        .AddConfigEntry("session.inter_op.allow_spinning", "0")
        .AddConfigEntry("session.force_spinning_stop", spinning)
        // No folder can exist below a device, so weights outside the file are never found.
        .AddConfigEntry("session.model_external_initializers_file_folder_path", "/dev/null/none")
        .AddConfigEntry("optimization.disable_specified_optimizers", "WeightBiasQuantization");
    if (card().precision == "int8" && card().target != "x86" && !detail::adds_exactly())
      options.AddConfigEntry("session.x64quantprecision", "1");
    if (card().precision == "int8-weights")  // unpacked once, not in each frame
      options.AddConfigEntry("session.disable_quant_qdq", "1");
    if (options_.configure) options_.configure(options);
    return options;
  }

  template <class Pixel>
  void check_image(const Pixel* pixels, int height, int width) const {
    using detail::text;
    if (card().dtype != detail::dtype_of<Pixel>)
      throw InputError(text("the image's dtype is ", detail::dtype_of<Pixel>, ", expected ", card().dtype));
    const std::string size = text("the image is ", height, " high and ", width, " wide");
    if (pixels == nullptr || height < 1 || width < 1)
      throw InputError(size + ", expected at least one pixel");
    if (std::min(height, width) < card().smallest_size)
      throw InputError(text(size, ", expected at least ", card().smallest_size,
                            " each way, the smallest size of this network: enlarge or pad it"));
    const auto [most_high, most_wide] = card().largest_size;
    if (most_high != 0 && (height > most_high || width > most_wide))
      throw InputError(text(
          size, ", expected at most ", most_high, " high and ", most_wide,
          " wide: this network computes differently beyond, and its file does not; shrink or cut the image"));
    const std::int64_t count = std::int64_t{height} * width;
    if (count > options_.max_pixels)
      throw InputError(text("the image has ", count, " pixels, expected at most ", options_.max_pixels,
                            ": make it smaller, cut it into tiles, or raise max_pixels if memory allows"));
  }

  template <class Label>
  void check_labels(const std::vector<Label>& labels) const {
    for (Label label : labels)
      if (label >= card().classes.size() && label != card().unlabeled)
        throw ModelError(detail::text("the model gave labels such as ", int{label}, ", it has ",
                                      card().classes.size(),
                                      " classes: export again with `fcn-edge export`"));
  }

  // Labels, and on request the confidence, of images (batch, height, width, channels).
  template <class Pixel>
  std::vector<Ort::Value> run(const Pixel* pixels, const std::array<std::int64_t, 4>& shape,
                              bool confidence) const {
    const auto described = [&] {
      return detail::text(shape[0], "x", shape[1], "x", shape[2], "x", shape[3], " ", card().dtype);
    };
    std::vector<Ort::Value> values;
    try {
      const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
      const auto count = static_cast<std::size_t>(shape[0] * shape[1] * shape[2] * shape[3]);
      const auto image = Ort::Value::CreateTensor<Pixel>(memory, const_cast<Pixel*>(pixels), count,
                                                         shape.data(), shape.size());
      static constexpr const char* input = "image";
      static constexpr const char* outputs[] = {"labels", "confidence"};
      values = session_.Run(Ort::RunOptions{nullptr}, &input, &image, 1, outputs, confidence ? 2 : 1);
    } catch (const Ort::Exception& error) {
      throw ModelError(detail::text("onnxruntime failed with an image of ", described(), ": ",
                                    detail::one_line(error.what())));
    }
    const std::vector<std::int64_t> expected(shape.begin(), shape.end() - 1);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto info = values[i].GetTensorTypeAndShapeInfo();
      const auto type = i == 1          ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
                        : card().wide() ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16
                                        : ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
      if (info.GetElementType() != type || info.GetShape() != expected)
        throw ModelError(detail::text("the model gave ", i == 0 ? "labels" : "confidence",
                                      " of another shape or type for an image of ", described(),
                                      ", which breaks the contract: export again with `fcn-edge export`"));
    }
    return values;
  }

  template <class Pixel>
  SelfTestReport tested() const {
    SelfTestReport report;
    for (const detail::GoldenCase& golden : model_.golden) {
      const std::vector<Pixel> image = detail::pattern<Pixel>(golden, card());
      // Pixels are little-endian wherever onnxruntime runs.
      if (detail::Sha256::of(reinterpret_cast<const std::uint8_t*>(image.data()),
                             image.size() * sizeof(Pixel)) != golden.input_sha256)
        throw ModelError(
            "the self-test's image is not the one that was exported (its SHA-256 differs): export again");
      const auto side = [](std::size_t value) { return static_cast<std::int64_t>(value); };
      const auto values =
          run(image.data(), {side(golden.batch), side(golden.height), side(golden.width), card().channels},
              false);
      std::size_t decided = 0, wrong = 0, first = 0;
      const auto label_at = [&](std::size_t i) {
        return card().wide() ? int{values[0].template GetTensorData<std::uint16_t>()[i]}
                             : int{values[0].template GetTensorData<std::uint8_t>()[i]};
      };
      for (std::size_t i = 0; i < golden.labels.size(); ++i) {
        const bool counts = golden.labels[i] != card().unlabeled;
        decided += counts;
        if (counts) report.distinct.insert(golden.labels[i]);
        // A label that is not a class is wrong everywhere, also where the decision was close; but a file may
        // leave such a pixel unlabeled, if it does so at all.
        const bool rejected = card().rejects && label_at(i) == card().unlabeled;
        if ((counts && label_at(i) != golden.labels[i]) ||
            (label_at(i) >= static_cast<int>(card().classes.size()) && !rejected))
          if (wrong++ == 0) first = i;
      }
      report.pixels += golden.labels.size(), report.decided += decided, report.wrong += wrong;
      if (wrong != 0)
        throw VerificationError(detail::text(
            "the self-test failed: at ", golden.batch, "x", golden.height, "x", golden.width, ", ", wrong,
            " of ", decided, " decided pixels differ from PyTorch, the first at image ",
            first / golden.width / golden.height, ", row ", first / golden.width % golden.height, ", column ",
            first % golden.width, " (label ", label_at(first), ", expected ", golden.labels[first],
            "): do not use this device with this model"));
    }
    if (report.decided * 100 < report.pixels)
      throw VerificationError(
          detail::text("the self-test decides ", report.decided, " of ", report.pixels,
                       " pixels, expected at least 1% of them: it shows nothing; export again"));
    return report;
  }
};

}  // namespace fcn_edge
