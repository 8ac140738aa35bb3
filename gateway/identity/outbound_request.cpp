#include "identity/outbound_request.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/text.hpp"

namespace sallyport::identity {
namespace {

constexpr std::string_view kGatewayName = "sallyport";
constexpr std::size_t kOurFieldsEstimate = 768;

// Writes at the end of a buffer. Nothing of it is part of the buffer's content before commit().
class HeadWriter {
 public:
  HeadWriter(ByteBuffer& out, std::size_t estimate) : out_(out), before_(out.size()) { take_room(estimate); }

  void put(std::string_view bytes) {
    if (static_cast<std::size_t>(end_ - at_) < bytes.size()) grow(bytes.size());
    copy(bytes);
  }
  void put_decimal(std::uint64_t number) {
    std::array<char, 20> digits;
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    put({digits.data(), static_cast<std::size_t>(written.ptr - digits.data())});
  }
  void field(std::string_view name, std::string_view value) {
    const std::size_t bytes = name.size() + value.size() + 4;
    if (static_cast<std::size_t>(end_ - at_) < bytes) grow(bytes);
    copy(name);
    copy(": ");
    copy(value);
    copy("\r\n");
  }

  // The head as part of the buffer's content.
  [[nodiscard]] std::string_view commit() {
    out_.commit(static_cast<std::size_t>(at_ - begin_));
    begin_ = at_;
    return out_.view().substr(before_);
  }
  void discard() noexcept { out_.truncate(before_); }

 private:
  void copy(std::string_view bytes) {  // there is room
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  void take_room(std::size_t bytes) {
    const std::span<char> room = out_.prepare(bytes);
    begin_ = at_ = room.data();
    end_ = begin_ + room.size();
  }
  void grow(std::size_t bytes) {
    out_.commit(static_cast<std::size_t>(at_ - begin_));
    take_room(std::max(bytes, kOurFieldsEstimate));
  }

  ByteBuffer& out_;
  std::size_t before_;
  char* begin_ = nullptr;  // of what is not committed yet
  char* at_ = nullptr;
  char* end_ = nullptr;
};

// Where the path that is sent begins in the path that was judged: behind the prefix, when it ends on a segment border there.
std::string_view without_prefix(std::string_view path, std::string_view prefix) noexcept {
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix.empty() || !path.starts_with(prefix)) return path;
  if (path.size() == prefix.size()) return "/";
  return path[prefix.size()] == '/' ? path.substr(prefix.size()) : path;
}

bool is_bearer(std::string_view value) noexcept {
  const auto end = std::ranges::find_if_not(value, [](char c) { return is_tchar(static_cast<unsigned char>(c)); });
  return equals_ignoring_case(value.substr(0, static_cast<std::size_t>(end - value.begin())), "Bearer");
}

// The trace id of `traceparent` (W3C Trace Context §3.2): what ties a tracestate to it.
std::string_view trace_id(std::string_view traceparent) noexcept {
  constexpr std::size_t kBegin = 3;
  constexpr std::size_t kBytes = 32;
  return traceparent.size() >= kBegin + kBytes ? traceparent.substr(kBegin, kBytes) : std::string_view();
}

bool continues_trace(const http::RequestHead& request, std::string_view traceparent) noexcept {
  if (request.count(http::FieldId::traceparent) != 1) return false;
  const std::string_view theirs = trace_id(request.find(http::FieldId::traceparent)->value);
  return !theirs.empty() && theirs == trace_id(traceparent);
}

// Members of `Via` are `protocol received-by [comment]` (RFC 9110 §7.6.3).
std::size_t own_hops(const http::RequestHead& request) noexcept {
  std::size_t hops = 0;
  for (const http::Field& field : request.fields) {
    if (field.id != http::FieldId::via) continue;
    for (std::string_view rest = field.value; !rest.empty() && hops < kHopsMax;) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view member = trim_ows(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      std::string_view received_by = trim_ows(member.substr(std::min(member.find_first_of(" \t"), member.size())));
      received_by = received_by.substr(0, received_by.find_first_of(" \t"));
      if (equals_ignoring_case(received_by, kGatewayName)) ++hops;
    }
  }
  return hops;
}

constexpr auto kPreflightFields = std::to_array<std::string_view>(
    {"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers", "Access-Control-Request-Private-Network", "User-Agent",
     "Accept", "Accept-Language", "Accept-Encoding", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"});

bool is_replaced(const FieldRules& rules, std::string_view name) noexcept {
  return std::ranges::any_of(rules.remove, [name](const std::string& removed) { return fold_alike(removed, name); }) ||
         std::ranges::any_of(rules.set, [name](const auto& set) { return fold_alike(set.first, name); });
}

// Before what is ours, so that nothing of it can stand in front of an identity.
void write_rules(const FieldRules& rules, HeadWriter& out) {
  for (const auto& [name, value] : rules.set) out.field(name, value);
  for (const auto& [name, value] : rules.add) out.field(name, value);
}

// Which of the client's fields go upstream, and how.
class PassedFields {
 public:
  PassedFields(const OutboundPlan& plan, const OwnedNames& owned, const http::RequestHead& request, std::string_view traceparent)
      : plan_(plan),
        owned_(owned),
        request_(request),
        strips_credentials_(!plan.is_public && !plan.forward_credentials),
        strips_cookies_((plan.is_public || !plan.forward_credentials) && !plan.our_cookies.empty()),
        traceparent_(traceparent) {}

  // A preflight is sent by the browser itself, so that nothing of the page's own is in it, and nobody was asked who he is: an upstream that
  // reads other fields (a method override, a key of its own) must not be told them by just anybody.
  void write_preflight(HeadWriter& out) const {
    for (const http::Field& field : request_.fields) {
      const auto same = [&field](std::string_view name) { return equals_ignoring_case(field.name, name); };
      if (!field.named_by_connection && std::ranges::any_of(kPreflightFields, same)) out.field(field.name, field.value);
    }
  }

  // With `websocket` without the fields of a handshake: those are written anew.
  void write(const http::WebSocketHandshake* websocket, HeadWriter& out) const {
    for (const http::Field& field : request_.fields) {
      if (field.named_by_connection || !passes(field)) continue;
      if (websocket != nullptr && field.id == http::FieldId::other && http::is_websocket_field(field.name)) continue;
      if (plan_.fields != nullptr && is_replaced(*plan_.fields, field.name)) continue;
      if (field.id == http::FieldId::cookie && (strips_cookies_ || !plan_.refresh_cookie.empty())) {
        write_cookies(field, out);
      } else {
        out.field(field.name, field.value);
      }
    }
  }

 private:
  [[nodiscard]] bool passes(const http::Field& field) const noexcept {
    using enum http::FieldId;
    switch (field.id) {
      // Ours: written fresh.
      case host:
      case content_length:
      case transfer_encoding:
      case traceparent:
      case x_request_id:
      case via: return false;
      // Of this hop only (RFC 9110 §7.6.1). Expect was for us: we have answered it, or will.
      case connection:
      case keep_alive:
      case proxy_connection:
      case te:
      case trailer:
      case upgrade:
      case proxy_authenticate:
      case proxy_authorization:
      case expect: return false;
      case authorization: return !(strips_credentials_ && is_bearer(field.value));
      case tracestate: return continues_trace(request_, traceparent_);
      case cookie: return true;
      case other:
      case date:
      case server:
      case content_type:
      case set_cookie:
      case location:
      case origin:
      case sec_fetch_site:
      case retry_after: return !owned_.owns(field.name) && !is_credential(field.name);
    }
    return false;
  }

  [[nodiscard]] bool is_credential(std::string_view name) const noexcept {
    if (!strips_credentials_) return false;
    return std::ranges::any_of(plan_.credential_headers, [&](const std::string& header) { return fold_alike(header, name); });
  }

  // Split as RFC 6265 §5.4 reads it, on ';' alone: what is no proper cookie belongs to the upstream and stays as it is.
  [[nodiscard]] bool is_ours(std::string_view piece) const noexcept {
    const std::string_view name = trim_ows(piece.substr(0, piece.find('=')));
    if (!plan_.refresh_cookie.empty() && name == plan_.refresh_cookie) return true;
    return strips_cookies_ && std::ranges::find(plan_.our_cookies, name) != plan_.our_cookies.end();
  }

  // The field without those of our cookies that do not pass, every other piece byte for byte; no field when nothing is left.
  void write_cookies(const http::Field& field, HeadWriter& out) const {
    bool begun = false;
    bool cut_before = false;  // the pieces before this one are gone, and so is the space that parted them
    for (std::string_view rest = field.value; !rest.empty();) {
      const std::size_t end = std::min(rest.find(';'), rest.size());
      std::string_view piece = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (is_ours(piece)) {
        cut_before = true;
        continue;
      }
      if (begun) {
        out.put(";");
        out.put(piece);
        continue;
      }
      if (trim_ows(piece).empty()) continue;
      if (cut_before) piece.remove_prefix(std::min(piece.find_first_not_of(" \t"), piece.size()));
      begun = true;
      out.put(field.name);
      out.put(": ");
      out.put(piece);
    }
    if (begun) out.put("\r\n");
  }

  const OutboundPlan& plan_;
  const OwnedNames& owned_;
  const http::RequestHead& request_;
  bool strips_credentials_;
  bool strips_cookies_;
  std::string_view traceparent_;
};

// One identity header's line. It begins with the value's first byte, so that what has no value has no line.
class IdentityLine {
 public:
  IdentityLine(std::string_view name, HeadWriter& out) : name_(name), out_(out) {}

  void whole(std::string_view text) {
    check(text);
    put(text);
  }
  void element(std::string_view text) {
    if (text.empty()) return;
    check(text);
    if (text.find(',') != text.npos) fault_ = "a comma in an element of a list";
    if (bytes_ != 0) put(",");
    put(text);
  }
  // Empty, or why the value may not be sent.
  [[nodiscard]] std::string_view finish() {
    if (bytes_ > kHeaderValueBytesMax) fault_ = "longer than 4 KiB";
    if (bytes_ != 0) out_.put("\r\n");
    return fault_;
  }

 private:
  void check(std::string_view text) noexcept {
    const bool has_control = std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    if (has_control) fault_ = "a control byte";
    if (text.starts_with(' ') || text.ends_with(' ')) fault_ = "a space at an end";
  }
  void put(std::string_view text) {
    if (bytes_ == 0 && !text.empty()) {
      out_.put(name_);
      out_.put(": ");
    }
    bytes_ += text.size();
    // What is too long is refused in the end: there is no need to write it.
    if (bytes_ <= kHeaderValueBytesMax) out_.put(text);
  }

  std::string_view name_;
  HeadWriter& out_;
  std::size_t bytes_ = 0;
  std::string_view fault_;
};

bool is_scalar(const Json& value) noexcept { return value.string() != nullptr || value.boolean() != nullptr || value.is_number(); }

void write_claim(const Json* claim, IdentityLine& line) {
  if (claim == nullptr) return;
  if (const std::string* text = claim->string()) {
    line.whole(*text);
  } else if (is_scalar(*claim)) {
    line.whole(claim->dump());
  } else if (const JsonArray* elements = claim->array(); elements != nullptr && std::ranges::all_of(*elements, is_scalar)) {
    for (const Json& element : *elements) {
      if (const std::string* text = element.string()) {
        line.element(*text);
      } else {
        line.element(element.dump());
      }
    }
  }
}

void write_list(const std::vector<std::string>& elements, IdentityLine& line) {
  for (const std::string& element : elements) line.element(element);
}

void write_fact(const IdentityHeader& header, const IdentityFacts& facts, IdentityLine& line) {
  switch (header.fact) {
    case FactKind::subject: line.whole(facts.subject); break;
    case FactKind::issuer: line.whole(facts.issuer); break;
    case FactKind::method: line.whole(name(facts.method)); break;
    case FactKind::roles: write_list(facts.roles, line); break;
    case FactKind::scopes: write_list(facts.scopes, line); break;
    case FactKind::claim:
      if (header.pointer) write_claim(header.pointer->find(facts.claims.json()), line);
      break;
  }
}

std::optional<ClaimRefused> write_identity(const VerifiedIdentity* identity, const std::vector<IdentityHeader>& headers, HeadWriter& out) {
  if (identity == nullptr) {
    out.field(kMethodHeader, "anonymous");
    return std::nullopt;
  }
  const IdentityFacts& facts = identity->facts();
  out.field(kMethodHeader, name(facts.method));
  for (const IdentityHeader& header : headers) {
    if (fold_alike(header.name, kMethodHeader)) continue;  // written above, whatever the route says
    IdentityLine line(header.name, out);
    write_fact(header, facts, line);
    if (const std::string_view fault = line.finish(); !fault.empty()) return ClaimRefused{header.name, std::string(fault)};
  }
  return std::nullopt;
}

void write_surroundings(const http::RequestHead& request, const OutboundContext& context, HeadWriter& out) {
  out.field("X-Forwarded-For", context.client_address);
  out.field("X-Forwarded-Proto", context.scheme);
  out.field("X-Forwarded-Host", request.host);
  out.field("X-Request-Id", context.request_id);
  out.field("traceparent", context.traceparent);
  out.put("Via: 1.1 ");
  out.put(kGatewayName);
  // Without what came before, a request that goes round would look new each time.
  for (std::size_t hop = own_hops(request); hop != 0; --hop) {
    out.put(", 1.1 ");
    out.put(kGatewayName);
  }
  out.put("\r\n");
}

// RFC 6455 §4.1. The key is the client's own, so that the answer to it is the answer to ours.
void write_handshake(const http::WebSocketHandshake& websocket, HeadWriter& out) {
  out.put("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
  out.field("Sec-WebSocket-Key", websocket.key);
  for (const std::string_view protocols : websocket.protocol_lines) out.field("Sec-WebSocket-Protocol", protocols);
  for (const std::string_view extensions : websocket.extension_lines) out.field("Sec-WebSocket-Extensions", extensions);
}

void write_framing(const http::RequestHead& request, HeadWriter& out) {
  switch (request.framing) {
    case http::Framing::none: return;
    case http::Framing::length:
      out.put("Content-Length: ");
      out.put_decimal(request.content_length);
      out.put("\r\n");
      return;
    case http::Framing::chunked: out.put("Transfer-Encoding: chunked\r\n"); return;
    case http::Framing::until_close: throw std::logic_error("a request's body never ends with the connection");
  }
}

bool expects_body(http::Method method) noexcept {
  return method == http::Method::post || method == http::Method::put || method == http::Method::patch;
}

std::size_t estimate(const http::RequestHead& request) noexcept {
  std::size_t bytes = kOurFieldsEstimate + request.method_text.size() + request.target.path().size() + request.target.query().size() +
                      2 * request.host.size();
  for (const http::Field& field : request.fields) bytes += field.name.size() + field.value.size() + 4;
  return bytes;
}

}  // namespace

bool is_looping(const http::RequestHead& request) noexcept { return own_hops(request) >= kHopsMax; }

std::variant<OutboundRequest, ClaimRefused> OutboundRequest::build(const Permit& permit, const OutboundPlan& plan, const OwnedNames& owned,
                                                                   const http::RequestHead& request, const OutboundContext& context,
                                                                   ByteBuffer& out) {
  HeadWriter writer(out, estimate(request));
  const std::string_view path = without_prefix(request.target.path(), plan.strip_prefix);
  writer.put(request.method_text);
  writer.put(" ");
  writer.put(path);
  if (request.target.has_query()) {
    writer.put("?");
    writer.put(request.target.query());
  }
  writer.put(" HTTP/1.1\r\n");
  writer.field("Host", plan.fixed_host ? std::string_view(*plan.fixed_host) : request.host);

  // Theirs first, then ours: nothing that comes after can touch what we say.
  const PassedFields passed(plan, owned, request, context.traceparent);
  if (context.is_preflight) {
    passed.write_preflight(writer);
  } else {
    passed.write(context.websocket, writer);
  }
  if (plan.fields != nullptr) write_rules(*plan.fields, writer);
  if (auto refused = write_identity(permit.identity(), plan.headers, writer)) {
    writer.discard();
    return std::move(*refused);
  }
  write_surroundings(request, context, writer);
  const bool is_handshake = context.websocket != nullptr;
  const bool may_share_connection = !is_handshake && (request.framing == http::Framing::none || expects_body(request.method));
  if (is_handshake) {
    write_handshake(*context.websocket, writer);
  } else {
    if (!may_share_connection) writer.put("Connection: close\r\n");
    write_framing(request, writer);
  }
  writer.put("\r\n");

  OutboundRequest outbound;
  outbound.head_ = writer.commit();
  const std::size_t target_bytes = path.size() + (request.target.has_query() ? 1 + request.target.query().size() : 0);
  outbound.target_ = outbound.head_.substr(request.method_text.size() + 1, target_bytes);
  outbound.method_ = request.method;
  outbound.framing_ = request.framing;
  outbound.may_share_connection_ = may_share_connection;
  outbound.websocket_ = context.websocket;
  return outbound;
}

}  // namespace sallyport::identity
