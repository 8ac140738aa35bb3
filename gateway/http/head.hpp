// The head of a message as the rest of the gateway sees it: checked values, views into the connection's buffer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/target.hpp"

namespace sallyport::http {

// Methods that we know (DESIGN §3.5 "Methods"); `other` is any further token, for routes that list it.
enum class Method : std::uint8_t { get, head, post, put, patch, delete_, options, connect, trace, other };
[[nodiscard]] Method method_of(std::string_view token) noexcept;  // case-sensitive, RFC 9110 §9.1
[[nodiscard]] bool is_safe(Method method) noexcept;               // RFC 9110 §9.2.1
[[nodiscard]] bool is_idempotent(Method method) noexcept;         // RFC 9110 §9.2.2; `other` is not

enum class Version : std::uint8_t { http_1_0, http_1_1 };

// The fields that the gateway itself looks at or never lets through. Compared without letter case; exact names only:
// aliases like `X_Forwarded_For` are `other` here and are caught by identity/owned_names.
enum class FieldId : std::uint8_t {
  other,
  host, authorization, cookie, content_length, transfer_encoding, expect, date, server, content_type, set_cookie, location,
  origin, sec_fetch_site, traceparent, tracestate, x_request_id, via, retry_after,
  // RFC 9110 §7.6.1: hop by hop
  connection, keep_alive, proxy_connection, te, trailer, upgrade, proxy_authenticate, proxy_authorization,
};
[[nodiscard]] FieldId field_id(std::string_view name) noexcept;

struct Field {
  std::string_view name;   // as it came; a token
  std::string_view value;  // without surrounding white space; no CR, LF, NUL or other control byte but HTAB
  FieldId id = FieldId::other;
  bool named_by_connection = false;  // hop by hop because `Connection` names it
};

enum class Framing : std::uint8_t {
  none,         // no body
  length,       // content_length bytes
  chunked,
  until_close,  // answers only
};

// Views are valid until the exchange ends. One Host, of valid form, when version is 1.1; framing is unambiguous.
struct RequestHead {
  Method method = Method::other;
  std::string_view method_text;
  Version version = Version::http_1_1;
  Target target;                // canonical: what is matched, judged, logged and sent
  std::string_view host;        // the Host field as it came
  std::string host_name;        // lower case, without port and trailing dot; for matching. Capacity is reused
  std::vector<Field> fields;    // in order, Host included, framing and hop-by-hop fields included. Capacity is reused
  Framing framing = Framing::none;
  std::uint64_t content_length = 0;
  bool keep_alive = true;        // what the client wants (version and Connection)
  bool expects_continue = false; // Expect: 100-continue on 1.1
  bool wants_websocket = false;  // Connection: upgrade and Upgrade: websocket, on a GET of 1.1

  // The only field of that id; nullptr when absent. With several, the first: whoever needs "exactly one" uses count().
  [[nodiscard]] const Field* find(FieldId id) const noexcept;
  [[nodiscard]] std::size_t count(FieldId id) const noexcept;
  // By name, letter case aside.
  [[nodiscard]] const Field* find(std::string_view name) const noexcept;
};

struct ResponseHead {
  int status = 0;                // 200..599 (1xx never leaves the parser's owner)
  Version version = Version::http_1_1;
  std::vector<Field> fields;
  Framing framing = Framing::none;
  std::uint64_t content_length = 0;
  bool keep_alive = true;

  [[nodiscard]] const Field* find(FieldId id) const noexcept;
};

// Why a request's bytes are not a request. Each has one answer (DESIGN §3.2, §3.5); the connection closes after it.
enum class RequestFault : std::uint8_t {
  malformed,             // 400
  bad_target,            // 400: ambiguous or not allowed in a path
  bad_host,              // 400
  bad_framing,           // 400: Content-Length, Transfer-Encoding, chunks
  method_refused,        // 405: CONNECT, TRACE
  version_unsupported,   // 505
  expectation_failed,    // 417
  target_too_long,       // 414
  head_too_large,        // 431: bytes or fields
  body_too_large,        // 413
  timed_out,             // 408
};
[[nodiscard]] int status_of(RequestFault fault) noexcept;
[[nodiscard]] std::string_view name(RequestFault fault) noexcept;

// "Not Found" for 404; "" for a code without a registered phrase. Static storage.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

}  // namespace sallyport::http
