// The opening handshake of RFC 6455 and the borders of its frames: what a gateway must understand of a tunnel, and no more. Sans-IO.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "http/head.hpp"

namespace sallyport::http {

// A client's opening handshake (RFC 6455 §4.1). Views into its request head.
struct WebSocketHandshake {
  std::string_view key;                           // 16 bytes in base64
  std::vector<std::string_view> protocol_lines;   // Sec-WebSocket-Protocol as it came: lists of different tokens
  std::vector<std::string_view> extension_lines;  // Sec-WebSocket-Extensions as it came
};
struct HandshakeRefused {
  enum class Why : std::uint8_t {
    malformed,  // 400
    version,    // 426: only version 13 is spoken
  } why;
  std::string_view detail;  // static text
};

// Whether `Upgrade` names websocket at all, in a good handshake or a bad one. Every other protocol is nobody's.
[[nodiscard]] bool asks_for_websocket(const RequestHead& request) noexcept;
// Everything that §4.2.1 asks of the request apart from Origin: GET, HTTP/1.1, no body, `Connection: upgrade`, `Upgrade: websocket` alone,
// one key, version 13.
[[nodiscard]] std::variant<WebSocketHandshake, HandshakeRefused> read_handshake(const RequestHead& request);

// Whether a field belongs to the handshake: Sec-WebSocket-*, also as upstreams might misread it (Sec_WebSocket_Key).
[[nodiscard]] bool is_websocket_field(std::string_view name) noexcept;

// The Sec-WebSocket-Accept that proves who answers has understood the handshake (§4.2.2).
[[nodiscard]] std::string accept_of(std::string_view key);

// What of a 101 goes on to the client.
struct HandshakeAnswer {
  std::string_view protocol;                      // the one that was chosen; empty: none
  std::vector<std::string_view> extension_lines;  // views into the answer's head
};
// The upstream's 101: `Connection: upgrade`, `Upgrade: websocket`, the right accept, and a protocol and extensions that were offered.
// The text is why not, static.
[[nodiscard]] std::variant<HandshakeAnswer, std::string_view> read_handshake_answer(const ResponseHead& answer,
                                                                                    const WebSocketHandshake& handshake,
                                                                                    std::string_view accept);

// Follows one direction of a tunnel from frame to frame (§5.2). Understands headers only; payload goes by uncounted and unseen.
class FrameBorders {
 public:
  enum class Sender : std::uint8_t { client, server };  // frames of clients are masked, those of servers are not (§5.1)
  static constexpr std::size_t kControlPayloadMax = 125;

  explicit FrameBorders(Sender sender) noexcept : sender_(sender) {}

  // The next bytes. False: they break the framing, for good; `at_border` and `remaining` mean nothing any more. Refused: a length with its
  // top bit set or longer than it need be, a control frame of more than 125 bytes or in fragments, an opcode that is reserved, a mask where
  // none belongs or none where one does, a continuation of nothing, a new message within another, a frame behind a close.
  [[nodiscard]] bool take(std::string_view bytes) noexcept;

  // Nothing of a frame is under way: a control frame of our own may stand here, between fragments too.
  [[nodiscard]] bool at_border() const noexcept { return payload_left_ == 0 && header_bytes_ == 0; }
  // Of a frame under way: bytes that surely belong to it; never more than up to its end. 0 at a border.
  [[nodiscard]] std::uint64_t remaining() const noexcept;
  // A close frame has gone by, whole or in part: nothing may follow it.
  [[nodiscard]] bool closing() const noexcept { return closing_; }
  [[nodiscard]] bool broken() const noexcept { return broken_; }

 private:
  static constexpr std::size_t kHeaderBytesMax = 14;

  [[nodiscard]] std::size_t header_size() const noexcept;  // as far as its first two bytes tell
  [[nodiscard]] bool judge_start() noexcept;               // by those two bytes
  [[nodiscard]] bool judge_length() noexcept;              // by the whole header

  Sender sender_;
  bool broken_ = false;
  bool closing_ = false;
  bool in_message_ = false;  // a fragmented message is under way
  std::uint8_t header_bytes_ = 0;
  unsigned char header_[kHeaderBytesMax] = {};
  std::uint64_t payload_left_ = 0;
};

// A server's close frame with a status code (§5.5.1, §7.4) and a reason of at most 123 bytes.
[[nodiscard]] std::string close_frame(std::uint16_t code, std::string_view reason);

}  // namespace sallyport::http
