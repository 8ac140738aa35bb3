#include "http/websocket.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>

#include "base/text.hpp"
#include "http/field_rules.hpp"

namespace sallyport::http {
namespace {

constexpr std::string_view kPrefix = "sec-websocket-";
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

// Goes through the members of a list field's value (RFC 9110 §5.6.1), empty ones left out, until `visit` says false.
template <class Visit>
bool each_member(std::string_view value, Visit&& visit) {
  for (;;) {
    const std::size_t end = std::min(value.find(','), value.size());
    const std::string_view member = trim_ows(value.substr(0, end));
    if (!member.empty() && !visit(member)) return false;
    if (end == value.size()) return true;
    value.remove_prefix(end + 1);
  }
}

// 16 bytes are 22 characters of base64 and "=="; the last of the 22 carries four bits, of which two must be zero.
bool is_key(std::string_view text) noexcept {
  constexpr std::size_t kDigits = 22;
  if (text.size() != kDigits + 2 || !text.ends_with("==")) return false;
  const auto is_digit = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  const std::string_view digits = text.substr(0, kDigits);
  return std::ranges::all_of(digits, is_digit) && std::string_view("AQgw").find(digits.back()) != std::string_view::npos;
}

struct HandshakeField {
  std::size_t count = 0;
  std::string_view value;  // of the first
};

HandshakeField only(const std::vector<Field>& fields, std::string_view name) noexcept {
  HandshakeField found;
  for (const Field& field : fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    if (found.count++ == 0) found.value = field.value;
  }
  return found;
}

// RFC 6455 §4.1 item 10: tokens, none of them twice.
bool read_protocols(const RequestHead& request, WebSocketHandshake& handshake) {
  std::vector<std::string_view> seen;
  for (const Field& field : request.fields) {
    if (!equals_ignoring_case(field.name, "Sec-WebSocket-Protocol")) continue;
    const bool good = each_member(field.value, [&seen](std::string_view protocol) {
      if (!is_token(protocol) || std::ranges::find(seen, protocol) != seen.end()) return false;
      seen.push_back(protocol);
      return true;
    });
    if (!good) return false;
    handshake.protocol_lines.push_back(field.value);
  }
  return true;
}

std::string_view extension_name(std::string_view extension) noexcept { return trim_ows(extension.substr(0, extension.find(';'))); }

bool is_protocol_offered(const WebSocketHandshake& handshake, std::string_view protocol) {
  const auto differs = [protocol](std::string_view offered) { return offered != protocol; };
  return std::ranges::any_of(handshake.protocol_lines, [&](std::string_view line) { return !each_member(line, differs); });
}

bool is_extension_offered(const WebSocketHandshake& handshake, std::string_view extension) {
  const auto differs = [extension](std::string_view offered) { return !equals_ignoring_case(extension_name(offered), extension); };
  return std::ranges::any_of(handshake.extension_lines, [&](std::string_view line) { return !each_member(line, differs); });
}

// A comma within a quoted parameter would part what is one: extensions that stand in use have none there.
bool are_extensions_offered(const WebSocketHandshake& handshake, std::string_view line) {
  return each_member(line, [&handshake](std::string_view member) { return is_extension_offered(handshake, extension_name(member)); });
}

bool switches_to_websocket(const ResponseHead& answer) {
  const HandshakeField upgrade = only(answer.fields, "Upgrade");
  if (upgrade.count != 1 || !equals_ignoring_case(upgrade.value, "websocket")) return false;
  const auto is_other = [](std::string_view member) { return !equals_ignoring_case(member, "upgrade"); };
  return std::ranges::any_of(answer.fields,
                             [&](const Field& field) { return field.id == FieldId::connection && !each_member(field.value, is_other); });
}

constexpr unsigned char kFin = 0x80;
constexpr unsigned char kOpcode = 0x0F;
constexpr unsigned char kMask = 0x80;
constexpr unsigned char kLength = 0x7F;
constexpr unsigned char kControl = 0x08;
constexpr unsigned char kContinuation = 0x00;
constexpr unsigned char kLastData = 0x02;
constexpr unsigned char kClose = 0x08;
constexpr unsigned char kPong = 0x0A;

}  // namespace

bool asks_for_websocket(const RequestHead& request) noexcept {
  const auto is_other = [](std::string_view member) { return !equals_ignoring_case(member, "websocket"); };
  return std::ranges::any_of(request.fields,
                             [&](const Field& field) { return field.id == FieldId::upgrade && !each_member(field.value, is_other); });
}

std::variant<WebSocketHandshake, HandshakeRefused> read_handshake(const RequestHead& request) {
  using Why = HandshakeRefused::Why;
  // Of the form first: who speaks another version speaks HTTP/1.1 all the same.
  if (!request.wants_websocket) {
    return HandshakeRefused{Why::malformed, "no opening handshake: GET, HTTP/1.1, no body, Connection: upgrade, Upgrade: websocket"};
  }
  const HandshakeField version = only(request.fields, "Sec-WebSocket-Version");
  if (version.count != 1 || version.value != "13") return HandshakeRefused{Why::version, "not version 13 and no other"};
  const HandshakeField key = only(request.fields, "Sec-WebSocket-Key");
  if (key.count != 1 || !is_key(key.value)) return HandshakeRefused{Why::malformed, "not one key of 16 bytes"};
  WebSocketHandshake handshake{.key = key.value, .protocol_lines = {}, .extension_lines = {}};
  if (!read_protocols(request, handshake)) return HandshakeRefused{Why::malformed, "the offered protocols are no list of different tokens"};
  for (const Field& field : request.fields) {
    if (equals_ignoring_case(field.name, "Sec-WebSocket-Extensions")) handshake.extension_lines.push_back(field.value);
  }
  return handshake;
}

bool is_websocket_field(std::string_view name) noexcept {
  if (name.size() < kPrefix.size()) return false;
  for (std::size_t i = 0; i < kPrefix.size(); ++i) {
    const char c = name[i] == '_' || name[i] == '.' ? '-' : ascii_lower(name[i]);
    if (c != kPrefix[i]) return false;
  }
  return true;
}

std::string accept_of(std::string_view key) {
  const std::string proof = std::string(key) + std::string(kGuid);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  // SHA-1 is what the protocol says; nothing rests on its strength.
  if (EVP_Digest(proof.data(), proof.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) throw std::runtime_error("SHA-1 failed");
  return base64_encode({reinterpret_cast<const char*>(digest.data()), size});
}

std::variant<HandshakeAnswer, std::string_view> read_handshake_answer(const ResponseHead& answer, const WebSocketHandshake& handshake,
                                                                      std::string_view accept) {
  using namespace std::string_view_literals;
  if (answer.version != Version::http_1_1 || !switches_to_websocket(answer)) return "the upstream switched to no WebSocket"sv;
  const HandshakeField proof = only(answer.fields, "Sec-WebSocket-Accept");
  if (proof.count != 1 || proof.value != accept) return "the upstream's Sec-WebSocket-Accept is wrong"sv;
  const HandshakeField protocol = only(answer.fields, "Sec-WebSocket-Protocol");
  if (protocol.count > 1 || (protocol.count == 1 && !is_protocol_offered(handshake, protocol.value)))
    return "the upstream chose a WebSocket protocol that was not offered"sv;
  HandshakeAnswer accepted{.protocol = protocol.value, .extension_lines = {}};
  for (const Field& field : answer.fields) {
    if (!equals_ignoring_case(field.name, "Sec-WebSocket-Extensions")) continue;
    if (!are_extensions_offered(handshake, field.value)) return "the upstream chose a WebSocket extension that was not offered"sv;
    accepted.extension_lines.push_back(field.value);
  }
  return accepted;
}

bool FrameBorders::judge_start() noexcept {
  const unsigned char opcode = header_[0] & kOpcode;
  const bool is_final = (header_[0] & kFin) != 0;
  const bool is_masked = (header_[1] & kMask) != 0;
  if (closing_ || is_masked != (sender_ == Sender::client)) return false;
  if ((opcode & kControl) != 0) {
    if (opcode > kPong || !is_final || (header_[1] & kLength) > kControlPayloadMax) return false;
    closing_ = opcode == kClose;
    return true;
  }
  if (opcode > kLastData || in_message_ != (opcode == kContinuation)) return false;
  in_message_ = !is_final;
  return true;
}

std::size_t FrameBorders::header_size() const noexcept {
  const unsigned char length = header_[1] & kLength;
  const std::size_t extended = length == 127 ? 8 : (length == 126 ? 2 : 0);
  return 2 + extended + (sender_ == Sender::client ? 4 : 0);
}

bool FrameBorders::judge_length() noexcept {
  const unsigned char length = header_[1] & kLength;
  const std::size_t extended = length == 127 ? 8 : (length == 126 ? 2 : 0);
  payload_left_ = extended == 0 ? length : 0;
  for (std::size_t i = 0; i < extended; ++i) payload_left_ = payload_left_ << 8U | header_[2 + i];
  if (length == 126) return payload_left_ > kControlPayloadMax;
  if (length == 127) return payload_left_ > 0xFFFF && (payload_left_ >> 63U) == 0;
  return true;
}

bool FrameBorders::take(std::string_view bytes) noexcept {
  while (!broken_ && !bytes.empty()) {
    if (payload_left_ > 0) {
      const std::uint64_t passed = std::min<std::uint64_t>(payload_left_, bytes.size());
      payload_left_ -= passed;
      bytes.remove_prefix(static_cast<std::size_t>(passed));
      continue;
    }
    header_[header_bytes_++] = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    if (header_bytes_ == 2) broken_ = !judge_start();
    if (broken_ || header_bytes_ < 2 || header_bytes_ < header_size()) continue;
    header_bytes_ = 0;
    broken_ = !judge_length();
  }
  return !broken_;
}

std::uint64_t FrameBorders::remaining() const noexcept {
  if (payload_left_ > 0) return payload_left_;
  if (header_bytes_ == 0) return 0;
  return header_bytes_ < 2 ? 1 : header_size() - header_bytes_;
}

std::string close_frame(std::uint16_t code, std::string_view reason) {
  reason = reason.substr(0, FrameBorders::kControlPayloadMax - 2);
  std::string frame;
  frame.push_back(static_cast<char>(kFin | kClose));
  frame.push_back(static_cast<char>(2 + reason.size()));
  frame.push_back(static_cast<char>(code >> 8U));
  frame.push_back(static_cast<char>(code & 0xFFU));
  frame.append(reason);
  return frame;
}

}  // namespace sallyport::http
