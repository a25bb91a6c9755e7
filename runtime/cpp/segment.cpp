// Segments a PPM (P6, 8 bits): its labels as a PGM to standard output, what was found to standard error.
//
//     segment MODEL.onnx FRAME.ppm > labels.pgm

#include "fcn_edge.hpp"

#include <chrono>
#include <iomanip>
#include <iostream>

namespace {

struct Frame {
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;
};

int number(std::istream& stream) {
  while (stream >> std::ws && stream.peek() == '#') stream.ignore(1 << 20, '\n');
  int value = -1;
  stream >> value;
  return value;
}

Frame read_ppm(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string magic(2, '\0');
  stream.read(magic.data(), 2);
  Frame frame;
  frame.width = number(stream);
  frame.height = number(stream);
  const int top = number(stream);
  stream.get();
  if (!stream || magic != "P6" || frame.width < 1 || frame.height < 1 || frame.width > 65536 ||
      frame.height > 65536 || top != 255)
    throw fcn_edge::InputError(path + " is not there, or is not a PPM (P6) of 8 bits: convert it");
  frame.pixels.resize(std::size_t{3} * static_cast<std::size_t>(frame.width) *
                      static_cast<std::size_t>(frame.height));
  if (!stream.read(reinterpret_cast<char*>(frame.pixels.data()),
                   static_cast<std::streamsize>(frame.pixels.size())))
    throw fcn_edge::InputError(path + " is cut off: copy it again");
  return frame;
}

void run(const std::string& model, const std::string& path) {
  const Frame frame = read_ppm(path);
  const fcn_edge::Segmenter segmenter(model);
  if (segmenter.card().channels != 3)
    throw fcn_edge::InputError(fcn_edge::detail::text("the model takes ", segmenter.card().channels,
                                                      " channels, expected 3, as a PPM has"));
  const auto start = std::chrono::steady_clock::now();
  const fcn_edge::Segmentation result = segmenter.segment(frame.pixels.data(), frame.height, frame.width);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;

  // A PGM above 255 holds two bytes a pixel, the upper one first.
  std::cout << "P5\n" << frame.width << ' ' << frame.height << '\n' << segmenter.card().unlabeled << '\n';
  std::vector<std::size_t> counts(static_cast<std::size_t>(segmenter.card().unlabeled) + 1);
  for (int y = 0; y < frame.height; ++y)
    for (int x = 0; x < frame.width; ++x) {
      const int label = result.at(y, x);
      ++counts[static_cast<std::size_t>(label)];
      if (segmenter.card().wide()) std::cout.put(static_cast<char>(label >> 8));
      std::cout.put(static_cast<char>(label & 255));
    }
  if (!std::cout.flush()) throw fcn_edge::InputError("the labels cannot be written to standard output");

  const double pixels = static_cast<double>(frame.width) * frame.height;
  std::cerr << std::fixed << std::setprecision(1) << frame.width << "x" << frame.height << " in "
            << took.count() << " ms\n";
  for (const fcn_edge::ClassInfo& info : segmenter.card().classes)
    if (const std::size_t count = counts[static_cast<std::size_t>(info.id)])
      std::cerr << std::setw(5) << 100.0 * static_cast<double>(count) / pixels << " %  " << info.name << '\n';
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: segment MODEL.onnx FRAME.ppm > labels.pgm\n";
    return 2;
  }
  try {
    run(arguments[1], arguments[2]);
    return 0;
  } catch (const fcn_edge::VerificationError& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 3;
  } catch (const fcn_edge::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
