#include "http/body_decoder.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::http {

namespace {

constexpr std::size_t kSizeDigitsMax = 16;
// With 15 significant digits nothing that is added to a size can overflow; 2^60 bytes are beyond any body.
constexpr std::uint64_t kChunkBytesMax = (std::uint64_t{1} << 60) - 1;

// HTAB, SP, VCHAR and obs-text: what a field value and a quoted string may hold.
constexpr bool is_text(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
}

constexpr bool is_token_char(char c) noexcept { return is_tchar(static_cast<unsigned char>(c)); }

}  // namespace

void BodyDecoder::start(Framing framing, std::uint64_t content_length, std::uint64_t bytes_max, std::size_t trailer_bytes_max,
                        std::size_t trailer_fields_max) {
  *this = BodyDecoder();
  framing_ = framing;
  bytes_max_ = bytes_max;
  trailer_bytes_max_ = trailer_bytes_max;
  trailer_fields_max_ = trailer_fields_max;
  if (framing == Framing::length) {
    remaining_ = content_length;
    if (content_length > bytes_max) failure_ = State::too_large;
  }
  complete_ = framing == Framing::none || (framing == Framing::length && content_length == 0);
}

BodyDecoder::Step BodyDecoder::step(std::string_view input) {
  if (failure_ != State::more) return {failure_, 0, {}};
  if (complete_) return {State::end, 0, {}};
  switch (framing_) {
    case Framing::none: return {State::end, 0, {}};
    case Framing::length: return step_counted(input);
    case Framing::chunked: return step_chunked(input);
    case Framing::until_close: return step_until_close(input);
  }
  return fail(State::malformed);
}

bool BodyDecoder::end_of_input() noexcept {
  if (framing_ == Framing::until_close && failure_ == State::more) complete_ = true;
  return complete_;
}

BodyDecoder::Step BodyDecoder::fail(State state) noexcept {
  failure_ = state;
  return {state, 0, {}};
}

BodyDecoder::Step BodyDecoder::step_counted(std::string_view input) noexcept {
  const std::string_view content = input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size())));
  remaining_ -= content.size();
  content_bytes_ += content.size();
  complete_ = remaining_ == 0;
  return {State::more, content.size(), content};
}

BodyDecoder::Step BodyDecoder::step_until_close(std::string_view input) noexcept {
  const std::uint64_t room = bytes_max_ - content_bytes_;
  if (room == 0 && !input.empty()) return fail(State::too_large);
  const std::string_view content = input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(room, input.size())));
  content_bytes_ += content.size();
  return {State::more, content.size(), content};
}

BodyDecoder::Step BodyDecoder::step_chunked(std::string_view input) noexcept {
  for (std::size_t at = 0; at < input.size(); ++at) {
    if (chunk_ == Chunk::data) {
      const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size() - at));
      remaining_ -= bytes;
      content_bytes_ += bytes;
      if (remaining_ == 0) chunk_ = Chunk::data_return;
      return {State::more, at + bytes, input.substr(at, bytes)};
    }
    switch (const State state = take_framing(input[at])) {
      case State::more: break;
      case State::end: complete_ = true; return {State::end, at + 1, {}};
      case State::malformed:
      case State::too_large: return fail(state);
    }
  }
  return {State::more, input.size(), {}};
}

BodyDecoder::State BodyDecoder::take_framing(char c) noexcept {
  switch (chunk_) {
    case Chunk::size_first:
    case Chunk::size: return take_size(c);
    case Chunk::extension_name_first:
    case Chunk::extension_name:
    case Chunk::extension_value_first:
    case Chunk::extension_token:
    case Chunk::extension_quoted:
    case Chunk::extension_escaped:
    case Chunk::extension_closed: return take_extension(c);
    case Chunk::size_line_feed: return c == '\n' ? end_of_size_line() : State::malformed;
    case Chunk::data: return State::malformed;  // not framing: step_chunked hands it out
    case Chunk::data_return: chunk_ = Chunk::data_line_feed; return c == '\r' ? State::more : State::malformed;
    case Chunk::data_line_feed: chunk_ = Chunk::size_first; return c == '\n' ? State::more : State::malformed;
    case Chunk::trailer_first:
    case Chunk::trailer_name:
    case Chunk::trailer_value:
    case Chunk::trailer_line_feed:
    case Chunk::last_line_feed: return take_trailer(c);
  }
  return State::malformed;
}

// 1*HEXDIG, RFC 9112 §7.1.
BodyDecoder::State BodyDecoder::take_size(char c) noexcept {
  if (chunk_ == Chunk::size_first) {
    remaining_ = 0;
    size_digits_ = 0;
    line_bytes_ = 0;
  }
  const auto digit = hex_digit(c);
  if (!digit) return chunk_ == Chunk::size ? after_size(c) : State::malformed;
  chunk_ = Chunk::size;
  remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(*digit);
  ++line_bytes_;
  const bool fits = ++size_digits_ <= kSizeDigitsMax && remaining_ <= kChunkBytesMax;
  return fits ? State::more : State::malformed;
}

// Where the size, a name or a value has ended.
BodyDecoder::State BodyDecoder::after_size(char c) noexcept {
  if (c == '\r') {
    chunk_ = Chunk::size_line_feed;
    return State::more;
  }
  if (c != ';') return State::malformed;
  chunk_ = Chunk::extension_name_first;
  ++extension_bytes_;
  return ++line_bytes_ <= Limits::kChunkLineBytesMax ? State::more : State::malformed;
}

// *( ";" token [ "=" ( token / quoted-string ) ] ), RFC 9112 §7.1.1, without its optional white space.
BodyDecoder::State BodyDecoder::take_extension(char c) noexcept {
  const bool in_quotes = chunk_ == Chunk::extension_quoted || chunk_ == Chunk::extension_escaped;
  const bool in_token = chunk_ == Chunk::extension_name || chunk_ == Chunk::extension_token;
  if (in_quotes) {
    if (!is_text(c)) return State::malformed;
    if (chunk_ == Chunk::extension_escaped) {
      chunk_ = Chunk::extension_quoted;
    } else if (c == '"') {
      chunk_ = Chunk::extension_closed;
    } else if (c == '\\') {
      chunk_ = Chunk::extension_escaped;
    }
  } else if (chunk_ == Chunk::extension_name && c == '=') {
    chunk_ = Chunk::extension_value_first;
  } else if (chunk_ == Chunk::extension_closed || (in_token && !is_token_char(c))) {
    return after_size(c);
  } else if (chunk_ == Chunk::extension_value_first && c == '"') {
    chunk_ = Chunk::extension_quoted;
  } else if (!is_token_char(c)) {
    return State::malformed;
  } else if (chunk_ == Chunk::extension_name_first) {
    chunk_ = Chunk::extension_name;
  } else if (chunk_ == Chunk::extension_value_first) {
    chunk_ = Chunk::extension_token;
  }
  ++extension_bytes_;
  return ++line_bytes_ <= Limits::kChunkLineBytesMax ? State::more : State::malformed;
}

BodyDecoder::State BodyDecoder::end_of_size_line() noexcept {
  if (extension_bytes_ > content_bytes_ + trailer_bytes_max_) return State::too_large;
  if (remaining_ > bytes_max_ - content_bytes_) return State::too_large;
  chunk_ = remaining_ == 0 ? Chunk::trailer_first : Chunk::data;
  return State::more;
}

// *( field-line CRLF ) CRLF, RFC 9112 §7.1.2. A line that begins with white space is no field: no folds.
BodyDecoder::State BodyDecoder::take_trailer(char c) noexcept {
  if (++trailer_bytes_ > trailer_bytes_max_) return State::malformed;
  if (chunk_ == Chunk::last_line_feed) return c == '\n' ? State::end : State::malformed;
  if (chunk_ == Chunk::trailer_line_feed) {
    chunk_ = Chunk::trailer_first;
    return c == '\n' ? State::more : State::malformed;
  }
  if (chunk_ == Chunk::trailer_value) {
    if (c == '\r') chunk_ = Chunk::trailer_line_feed;
    return c == '\r' || is_text(c) ? State::more : State::malformed;
  }
  if (chunk_ == Chunk::trailer_name) {
    if (c == ':') chunk_ = Chunk::trailer_value;
    return c == ':' || is_token_char(c) ? State::more : State::malformed;
  }
  if (c == '\r') {  // trailer_first: the section's empty line
    chunk_ = Chunk::last_line_feed;
    return State::more;
  }
  if (!is_token_char(c)) return State::malformed;
  chunk_ = Chunk::trailer_name;
  return ++trailer_fields_ <= trailer_fields_max_ ? State::more : State::malformed;
}

}  // namespace sallyport::http
