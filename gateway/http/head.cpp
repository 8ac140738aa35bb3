#include "http/head.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/text.hpp"

namespace sallyport::http {

namespace {

constexpr std::array<std::pair<std::string_view, Method>, 9> kMethods{{
    {"GET", Method::get},
    {"HEAD", Method::head},
    {"POST", Method::post},
    {"PUT", Method::put},
    {"PATCH", Method::patch},
    {"DELETE", Method::delete_},
    {"OPTIONS", Method::options},
    {"CONNECT", Method::connect},
    {"TRACE", Method::trace},
}};

struct NamedField {
  std::string_view name;  // as most write it, which is looked for first
  FieldId id;
};

// Sorted by length, so that one comparison is usually enough for a name that we do not know.
constexpr std::array kFields = std::to_array<NamedField>({
    {"TE", FieldId::te},
    {"Via", FieldId::via},
    {"Host", FieldId::host},
    {"Date", FieldId::date},
    {"Cookie", FieldId::cookie},
    {"Expect", FieldId::expect},
    {"Server", FieldId::server},
    {"Origin", FieldId::origin},
    {"Trailer", FieldId::trailer},
    {"Upgrade", FieldId::upgrade},
    {"Location", FieldId::location},
    {"Connection", FieldId::connection},
    {"Keep-Alive", FieldId::keep_alive},
    {"Set-Cookie", FieldId::set_cookie},
    {"tracestate", FieldId::tracestate},
    {"traceparent", FieldId::traceparent},
    {"Retry-After", FieldId::retry_after},
    {"Content-Type", FieldId::content_type},
    {"X-Request-Id", FieldId::x_request_id},
    {"Authorization", FieldId::authorization},
    {"Content-Length", FieldId::content_length},
    {"Sec-Fetch-Site", FieldId::sec_fetch_site},
    {"Proxy-Connection", FieldId::proxy_connection},
    {"Transfer-Encoding", FieldId::transfer_encoding},
    {"Proxy-Authenticate", FieldId::proxy_authenticate},
    {"Proxy-Authorization", FieldId::proxy_authorization},
});

constexpr std::size_t kLongestName = kFields.back().name.size();

// kFirstOfLength[n] is the index of the first name with at least n bytes.
constexpr auto kFirstOfLength = [] {
  std::array<std::uint8_t, kLongestName + 2> first{};
  for (std::size_t length = 0; length < first.size(); ++length) {
    std::size_t index = 0;
    while (index < kFields.size() && kFields[index].name.size() < length) ++index;
    first[length] = static_cast<std::uint8_t>(index);
  }
  return first;
}();
static_assert(std::is_sorted(kFields.begin(), kFields.end(), [](auto& a, auto& b) { return a.name.size() < b.name.size(); }));

const Field* find_id(const std::vector<Field>& fields, FieldId id) noexcept {
  const auto found = std::find_if(fields.begin(), fields.end(), [id](const Field& field) { return field.id == id; });
  return found == fields.end() ? nullptr : &*found;
}

}  // namespace

Method method_of(std::string_view token) noexcept {
  for (const auto& [text, method] : kMethods) {
    if (text == token) return method;
  }
  return Method::other;
}

bool is_safe(Method method) noexcept {
  switch (method) {
    case Method::get:
    case Method::head:
    case Method::options:
    case Method::trace: return true;
    case Method::post:
    case Method::put:
    case Method::patch:
    case Method::delete_:
    case Method::connect:
    case Method::other: return false;
  }
  return false;
}

bool is_idempotent(Method method) noexcept { return is_safe(method) || method == Method::put || method == Method::delete_; }

FieldId field_id(std::string_view name) noexcept {
  if (name.empty() || name.size() > kLongestName) return FieldId::other;
  const char initial = ascii_lower(name.front());
  const auto first = kFirstOfLength[name.size()];
  const auto last = kFirstOfLength[name.size() + 1];
  for (const NamedField& field : std::span(kFields).subspan(first, static_cast<std::size_t>(last - first))) {
    if (ascii_lower(field.name.front()) == initial && (name == field.name || equals_ignoring_case(name, field.name))) return field.id;
  }
  return FieldId::other;
}

const Field* RequestHead::find(FieldId id) const noexcept { return find_id(fields, id); }

std::size_t RequestHead::count(FieldId id) const noexcept {
  return static_cast<std::size_t>(std::count_if(fields.begin(), fields.end(), [id](const Field& field) { return field.id == id; }));
}

const Field* RequestHead::find(std::string_view name) const noexcept {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [name](const Field& field) { return equals_ignoring_case(field.name, name); });
  return found == fields.end() ? nullptr : &*found;
}

const Field* ResponseHead::find(FieldId id) const noexcept { return find_id(fields, id); }

int status_of(RequestFault fault) noexcept {
  switch (fault) {
    case RequestFault::malformed:
    case RequestFault::bad_target:
    case RequestFault::bad_host:
    case RequestFault::bad_framing: return 400;
    case RequestFault::method_refused: return 405;
    case RequestFault::version_unsupported: return 505;
    case RequestFault::expectation_failed: return 417;
    case RequestFault::target_too_long: return 414;
    case RequestFault::head_too_large: return 431;
    case RequestFault::body_too_large: return 413;
    case RequestFault::timed_out: return 408;
  }
  return 400;
}

std::string_view name(RequestFault fault) noexcept {
  switch (fault) {
    case RequestFault::malformed: return "malformed";
    case RequestFault::bad_target: return "bad_target";
    case RequestFault::bad_host: return "bad_host";
    case RequestFault::bad_framing: return "bad_framing";
    case RequestFault::method_refused: return "method_refused";
    case RequestFault::version_unsupported: return "version_unsupported";
    case RequestFault::expectation_failed: return "expectation_failed";
    case RequestFault::target_too_long: return "target_too_long";
    case RequestFault::head_too_large: return "head_too_large";
    case RequestFault::body_too_large: return "body_too_large";
    case RequestFault::timed_out: return "timed_out";
  }
  return "unknown";
}

// The IANA registry of status codes.
std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 102: return "Processing";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 208: return "Already Reported";
    case 226: return "IM Used";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 305: return "Use Proxy";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 506: return "Variant Also Negotiates";
    case 507: return "Insufficient Storage";
    case 508: return "Loop Detected";
    case 511: return "Network Authentication Required";
    default: return "";  // any other number: an int is no enumeration
  }
}

}  // namespace sallyport::http
