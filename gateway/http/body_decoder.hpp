// Takes a message's framing off: content-length, chunked (RFC 9112 §7.1), until close. Sans-IO, for both directions.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/head.hpp"
#include "http/limits.hpp"

namespace sallyport::http {

// Trailers and chunk extensions are checked, counted against their limits and dropped. Lines end in CRLF, a chunk size has at most 16
// digits and is below 2^60, extensions have no white space outside of quotes, trailers no folds (hazards K09-K13, K25-K27).
class BodyDecoder {
 public:
  enum class State : std::uint8_t { more, end, malformed, too_large };
  struct Step {
    State state;
    std::size_t consumed;      // bytes of the input that are done with
    std::string_view content;  // a view into the input; may be empty when only framing was consumed
  };

  // `trailer_bytes_max` caps the trailer section with its empty line, kChunkLineBytesMax each chunk-size line without its CRLF;
  // `bytes_max` the content. All extensions together may outweigh the content by `trailer_bytes_max`: a peer that sends a kilobyte of
  // framing for each byte of content is stopped (too_large).
  void start(Framing framing, std::uint64_t content_length, std::uint64_t bytes_max, std::size_t trailer_bytes_max,
             std::size_t trailer_fields_max);
  // Takes one step on `input`. more with consumed == 0 means that more input is needed. `consumed` covers the framing before
  // `content` too. After end, nothing is consumed any more; malformed and too_large stay, with consumed == 0.
  [[nodiscard]] Step step(std::string_view input);
  // The input ended (the peer closed): true when that completes the body (until_close), or it was complete.
  [[nodiscard]] bool end_of_input() noexcept;
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  [[nodiscard]] std::uint64_t content_bytes() const noexcept { return content_bytes_; }

 private:
  // Where the next byte of a chunked body belongs. Framing is read byte by byte and never kept, so the caller need not keep it either.
  enum class Chunk : std::uint8_t {
    size_first,
    size,
    extension_name_first,
    extension_name,
    extension_value_first,
    extension_token,
    extension_quoted,
    extension_escaped,
    extension_closed,
    size_line_feed,
    data,
    data_return,
    data_line_feed,
    trailer_first,
    trailer_name,
    trailer_value,
    trailer_line_feed,
    last_line_feed,
  };
  [[nodiscard]] Step fail(State state) noexcept;
  [[nodiscard]] Step step_counted(std::string_view input) noexcept;
  [[nodiscard]] Step step_until_close(std::string_view input) noexcept;
  [[nodiscard]] Step step_chunked(std::string_view input) noexcept;
  // Takes one byte of framing: more, end, or why not.
  [[nodiscard]] State take_framing(char c) noexcept;
  [[nodiscard]] State take_size(char c) noexcept;
  [[nodiscard]] State take_extension(char c) noexcept;
  [[nodiscard]] State take_trailer(char c) noexcept;
  [[nodiscard]] State after_size(char c) noexcept;
  [[nodiscard]] State end_of_size_line() noexcept;

  Framing framing_ = Framing::none;
  std::uint64_t remaining_ = 0;  // of the content, or of the chunk
  std::uint64_t bytes_max_ = 0;
  std::uint64_t content_bytes_ = 0;
  std::uint64_t extension_bytes_ = 0;
  std::size_t trailer_bytes_max_ = 0;
  std::size_t trailer_fields_max_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::size_t trailer_fields_ = 0;
  std::size_t line_bytes_ = 0;  // of the chunk-size line so far
  std::size_t size_digits_ = 0;
  Chunk chunk_ = Chunk::size_first;
  State failure_ = State::more;  // malformed and too_large stay
  bool complete_ = false;
};

}  // namespace sallyport::http
