// The named caps of the HTTP layer (DESIGN §2.2 `limits`, `timeouts`; §3.5 "Limits").
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sallyport::http {

struct Limits {
  std::size_t header_bytes_max = 16 * 1024;  // the whole head: request line, fields, the empty line. Trailers have as much of their own
  std::size_t header_fields_max = 100;
  std::size_t target_bytes_max = 8 * 1024;
  std::uint64_t body_bytes_max = 10 * 1024 * 1024;
  static constexpr std::size_t kChunkLineBytesMax = 256;
  // An answer's head may be larger than a request's: cookies, CSP. Upstreams get these.
  static constexpr std::size_t kAnswerHeaderBytesMax = 64 * 1024 - 1;
  static constexpr std::size_t kAnswerHeaderFieldsMax = 256;
  static constexpr int kInformationalAnswersMax = 16;  // 1xx before the final answer
};

// Each runs for its whole phase: a byte does not move it.
struct Timeouts {
  std::chrono::milliseconds handshake{10'000};
  std::chrono::milliseconds header{10'000};   // from the first byte of a request to the end of its head
  std::chrono::milliseconds body{60'000};     // from the head to the last byte of the body
  std::chrono::milliseconds idle{75'000};     // between requests
  std::chrono::milliseconds buffered{250};    // of `idle`: how long the connection keeps the buffers of its next request. No setting
  std::chrono::milliseconds write{30'000};    // for each piece of an answer (at most 64 KiB) to be taken by the client
};

}  // namespace sallyport::http
