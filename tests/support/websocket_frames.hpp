// Frames of RFC 6455 §5.2 as tests send them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::testing {

inline std::string frame_header(int opcode, std::size_t size, bool is_final, bool is_masked) {
  std::string header;
  header.push_back(static_cast<char>((is_final ? 0x80 : 0) | opcode));
  const int mask = is_masked ? 0x80 : 0;
  if (size < 126) {
    header.push_back(static_cast<char>(mask | static_cast<int>(size)));
    return header;
  }
  const int bytes = size > 0xFFFF ? 8 : 2;
  header.push_back(static_cast<char>(mask | (bytes == 8 ? 127 : 126)));
  for (int i = bytes - 1; i >= 0; --i) header.push_back(static_cast<char>((static_cast<std::uint64_t>(size) >> (8 * i)) & 0xFF));
  return header;
}

inline std::string server_frame(int opcode, std::string_view payload, bool is_final = true) {
  return frame_header(opcode, payload.size(), is_final, false) + std::string(payload);
}

inline std::string client_frame(int opcode, std::string_view payload, bool is_final = true) {
  constexpr std::array<char, 4> kMask{'\x12', '\x34', '\x56', '\x78'};
  std::string frame = frame_header(opcode, payload.size(), is_final, true) + std::string(kMask.data(), kMask.size());
  for (std::size_t i = 0; i < payload.size(); ++i) frame.push_back(static_cast<char>(payload[i] ^ kMask[i % 4]));
  return frame;
}

}  // namespace sallyport::testing
