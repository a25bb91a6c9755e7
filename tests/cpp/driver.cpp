// What the tests ask of fcn_edge.hpp.
//
//     driver facts MODEL...                                  one line each: digest, classes, name; or the
//     error driver run MODEL TYPE HEIGHT WIDTH PIXELS LABELS       raw pixels to raw labels, by four threads
//     at once

#include "fcn_edge.hpp"

#include <iostream>

namespace {

void facts(const std::string& path) {
  try {
    const fcn_edge::detail::Model model = fcn_edge::detail::read_model(path);
    std::cout << model.digest << ' ' << model.card.classes.size() << ' ' << model.card.name << '\n';
  } catch (const fcn_edge::ModelError& error) {
    std::cout << "ModelError " << error.what() << '\n';
  }
}

template <class Pixel>
void run(char** arguments) {
  const fcn_edge::Segmenter segmenter(arguments[0]);
  const int height = std::stoi(arguments[2]), width = std::stoi(arguments[3]);
  std::ifstream stream(arguments[4], std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(stream), {});
  std::vector<Pixel> pixels(bytes.size() / sizeof(Pixel));
  std::memcpy(pixels.data(), bytes.data(), pixels.size() * sizeof(Pixel));
  const fcn_edge::Segmentation alone = segmenter.segment(pixels.data(), height, width);
  std::vector<fcn_edge::Segmentation> results(4);
  std::vector<std::thread> threads;
  for (fcn_edge::Segmentation& result : results)
    threads.emplace_back([&] { result = segmenter.segment(pixels.data(), height, width); });
  for (std::thread& thread : threads) thread.join();
  for (const fcn_edge::Segmentation& result : results)
    if (result.labels != alone.labels || result.wide_labels != alone.wide_labels)
      throw std::logic_error("threads disagree");
  const auto write = [&](const auto& labels) {
    std::ofstream(arguments[5], std::ios::binary)
        .write(reinterpret_cast<const char*>(labels.data()),
               static_cast<std::streamsize>(labels.size() * sizeof(labels[0])));
  };
  if (segmenter.card().wide())
    write(alone.wide_labels);
  else
    write(alone.labels);
  std::cout << segmenter.self_test().decided << ' ' << alone.confidence.size() << '\n';
}

}  // namespace

int main(int count, char** arguments) {
  const std::string action = count > 2 ? arguments[1] : "";
  try {
    if (action == "facts")
      for (int i = 2; i < count; ++i) facts(arguments[i]);
    if (action != "run" || count != 8) return 0;
    const std::string type = arguments[3];
    if (type == "uint8") run<std::uint8_t>(arguments + 2);
    if (type == "uint16") run<std::uint16_t>(arguments + 2);
    if (type == "float32") run<float>(arguments + 2);
    return 0;
  } catch (const fcn_edge::VerificationError& error) {
    std::cout << "VerificationError " << error.what() << '\n';
  } catch (const fcn_edge::InputError& error) {
    std::cout << "InputError " << error.what() << '\n';
  } catch (const fcn_edge::ModelError& error) {
    std::cout << "ModelError " << error.what() << '\n';
  }
  return 1;
}
