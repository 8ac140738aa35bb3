// FrameBorders: the verdict and the borders do not depend on how the bytes were cut, and they are those of RFC 6455 §5.2 as a second, plain
// reader finds them. The first byte says who sends and where to cut.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/require.hpp"
#include "http/websocket.hpp"

using namespace sallyport::http;
using sallyport::require;

namespace {

struct Reading {
  bool good = true;
  std::vector<std::size_t> borders;  // ends of whole frames
};

// Frame by frame, with the whole text at hand.
Reading read_plainly(std::string_view bytes, bool is_client) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  Reading reading;
  bool in_message = false;
  bool closed = false;
  std::size_t at = 0;
  while (bytes.size() - at >= 2) {
    const unsigned opcode = byte(at) & 0x0FU;
    const bool is_final = byte(at) >= 0x80;
    const bool is_masked = byte(at + 1) >= 0x80;
    const unsigned length = byte(at + 1) & 0x7FU;
    const bool is_control = opcode >= 8;
    bool good = !closed && is_masked == is_client && (opcode <= 2 || (opcode >= 8 && opcode <= 10));
    if (is_control) good = good && is_final && length <= 125;
    if (!is_control) good = good && (opcode == 0) == in_message;
    const std::size_t extended = length == 126 ? 2 : (length == 127 ? 8 : 0);
    const std::size_t header = 2 + extended + (is_client ? 4 : 0);
    if (!good) return {false, reading.borders};
    if (is_control) closed = opcode == 8;
    if (!is_control) in_message = !is_final;
    if (bytes.size() - at < header) return reading;
    std::uint64_t payload = extended == 0 ? length : 0;
    for (std::size_t i = 0; i < extended; ++i) payload = payload * 256 + byte(at + 2 + i);
    if (length == 126 && payload < 126) return {false, reading.borders};
    if (length == 127 && (payload < 65'536 || payload > INT64_MAX)) return {false, reading.borders};
    if (payload > bytes.size() - at - header) return reading;
    at += header + static_cast<std::size_t>(payload);
    reading.borders.push_back(at);
  }
  return reading;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool is_client = data[0] >= 128;
  const FrameBorders::Sender sender = is_client ? FrameBorders::Sender::client : FrameBorders::Sender::server;
  const Reading plain = read_plainly(bytes, is_client);

  FrameBorders whole(sender);
  require(whole.take(bytes) == plain.good, "the verdict is that of the plain reader");
  require(whole.broken() == !plain.good, "broken is broken");

  FrameBorders pieces(sender);
  std::vector<std::size_t> borders;
  for (std::size_t i = 0; i < bytes.size() && pieces.take(bytes.substr(i, 1)); ++i) {
    require(pieces.at_border() == (pieces.remaining() == 0), "at a border nothing is missing, and only there");
    if (pieces.at_border()) borders.push_back(i + 1);
  }
  require(pieces.broken() == whole.broken(), "the verdict does not depend on the cut");
  require(borders == plain.borders, "the borders are those of the plain reader");
  if (!whole.broken()) require(pieces.remaining() == whole.remaining(), "nor does what is missing");

  // What is said to be missing belongs to the frame: taken exactly, it never passes a border, as the last word needs it.
  FrameBorders guided(sender);
  std::size_t at = 0;
  const std::size_t start = bytes.size() * (data[0] % 128) / 128;
  if (!guided.take(bytes.substr(0, start))) return 0;
  at = start;
  while (guided.remaining() != 0 && at < bytes.size()) {
    const std::size_t step = static_cast<std::size_t>(std::min<std::uint64_t>(guided.remaining(), bytes.size() - at));
    if (!guided.take(bytes.substr(at, step))) return 0;
    at += step;
  }
  const bool is_border = at == 0 || std::find(borders.begin(), borders.end(), at) != borders.end();
  require(!guided.at_border() || is_border, "what was missing ends at a border");
  return 0;
}
