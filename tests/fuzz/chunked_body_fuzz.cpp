// BodyDecoder: the content does not depend on how the bytes were cut, the limits hold, and what was framed again decodes to the same
// (hazards K09-K13, K25-K27). The first byte says how to cut, the second how large the content may be.
#include "http/body_decoder.hpp"

#include <cstdint>
#include <string>

#include "fuzz/require.hpp"

using namespace sallyport::http;
using sallyport::require;

namespace {

constexpr std::size_t kTrailerBytesMax = 256;
constexpr std::size_t kTrailerFieldsMax = 8;

struct Decoded {
  BodyDecoder::State state = BodyDecoder::State::more;
  std::string content;
  std::size_t consumed = 0;
};

Decoded decode(std::string_view input, std::size_t piece, std::uint64_t bytes_max) {
  BodyDecoder decoder;
  decoder.start(Framing::chunked, 0, bytes_max, kTrailerBytesMax, kTrailerFieldsMax);
  Decoded decoded;
  while (decoded.state == BodyDecoder::State::more && decoded.consumed < input.size()) {
    const std::string_view bytes = input.substr(decoded.consumed, piece);
    const BodyDecoder::Step step = decoder.step(bytes);
    require(step.consumed <= bytes.size(), "no more is consumed than was given");
    require(step.state != BodyDecoder::State::more || step.consumed > 0, "each step gets on");
    decoded.state = step.state;
    decoded.consumed += step.consumed;
    decoded.content += step.content;
  }
  require(decoder.content_bytes() == decoded.content.size(), "the content is counted");
  require(decoder.complete() == (decoded.state == BodyDecoder::State::end), "complete is the end");
  require(decoder.end_of_input() == decoder.complete(), "closing completes no chunked body");
  return decoded;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t piece = 1 + data[0] % 64;
  const std::uint64_t bytes_max = data[1] == 0 ? ~std::uint64_t{0} : data[1];
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);

  const Decoded whole = decode(input, input.size(), bytes_max);
  const Decoded split = decode(input, piece, bytes_max);
  require(whole.state == split.state, "the verdict does not depend on the cut");
  require(whole.content == split.content, "nor does the content");
  require(whole.content.size() <= bytes_max, "the content limit holds");
  if (whole.state != BodyDecoder::State::end) return 0;

  require(whole.consumed == split.consumed, "nor does the end");
  require(input.substr(0, whole.consumed).ends_with("\n\r\n"), "a body ends in an empty line");
  const std::string ours = whole.content.empty() ? "0\r\n\r\n" : [&] {
    char line[32];
    std::snprintf(line, sizeof line, "%zx\r\n", whole.content.size());
    return line + whole.content + "\r\n0\r\n\r\n";
  }();
  const Decoded again = decode(ours, piece, bytes_max);
  require(again.state == BodyDecoder::State::end && again.content == whole.content, "our own framing decodes to the same");
  return 0;
}
