#include "base/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <new>
#include <stdexcept>
#include <tuple>

#include <fmt/format.h>
#include <simdjson.h>
#include <boost/container/small_vector.hpp>

#include "base/text.hpp"

namespace sallyport {
namespace {

namespace dom = simdjson::dom;

// A parser keeps about 15 bytes per byte of the largest document it has seen. Larger ones than this get a parser of their own.
constexpr std::size_t kReusedParserBytesMax = 256 * 1024;

// simdjson decodes `\ud800\u0041` and a lone `\udc00` into something; RFC 8259 §8.2 leaves open what they mean, so they mean nothing here.
// A backslash can only stand in a string, or the document is malformed anyway.
class SurrogateScan {
 public:
  explicit SurrogateScan(std::string_view text) : text_(text) {}

  [[nodiscard]] bool is_well_formed() {
    while ((at_ = text_.find('\\', at_)) != std::string_view::npos) {
      const std::optional<unsigned> unit = escaped_unit();
      if (!unit) {
        at_ += 2;  // another escape, `\\` among them; or a broken one, which simdjson finds
        continue;
      }
      at_ += kEscapeBytes;
      if (is_low(*unit)) return false;
      if (!is_high(*unit)) continue;
      const std::optional<unsigned> second = escaped_unit();
      if (!second || !is_low(*second)) return false;
      at_ += kEscapeBytes;
    }
    return true;
  }

 private:
  static constexpr std::size_t kEscapeBytes = 6;
  static bool is_high(unsigned unit) { return unit >= 0xD800 && unit < 0xDC00; }
  static bool is_low(unsigned unit) { return unit >= 0xDC00 && unit < 0xE000; }

  // The code unit of `\uXXXX` at the current place.
  [[nodiscard]] std::optional<unsigned> escaped_unit() const {
    const std::string_view escape = text_.substr(std::min(at_, text_.size()), kEscapeBytes);
    if (escape.size() < kEscapeBytes || escape[0] != '\\' || escape[1] != 'u') return std::nullopt;
    unsigned unit = 0;
    for (const char c : escape.substr(2)) {
      const std::optional<int> digit = hex_digit(c);
      if (!digit) return std::nullopt;
      unit = unit * 16 + static_cast<unsigned>(*digit);
    }
    return unit;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// For our log: enough of a name to find it, not the document.
std::string shortened(std::string_view name) {
  constexpr std::size_t kBytesMax = 64;
  return std::string(name.substr(0, kBytesMax));
}

// Most names differ in their first or last byte, and are compared here without a call.
bool same_name(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  return a.empty() || (a.front() == b.front() && a.back() == b.back() && std::memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace

// simdjson's document into our values, each written where it stays: moving values that may be anything is most of what converting costs.
// Recursion is bounded by depth_max and by simdjson's own 1024. Every function says whether it went well; error() then says what did not.
class JsonConversion {
 public:
  explicit JsonConversion(const JsonLimits& limits) : limits_(limits) {}

  // `out` is null before; what it is after a failure does not matter.
  [[nodiscard]] bool convert(dom::element element, Json& out) {
    if (!count()) return false;
    switch (element.type()) {
      case dom::element_type::NULL_VALUE: return true;
      case dom::element_type::BOOL: return put<bool>(out, element.get_bool().value_unsafe());
      case dom::element_type::INT64: return put<std::int64_t>(out, element.get_int64().value_unsafe());
      case dom::element_type::UINT64: return put<std::uint64_t>(out, element.get_uint64().value_unsafe());
      case dom::element_type::DOUBLE: return put<double>(out, element.get_double().value_unsafe());
      case dom::element_type::STRING: return put<std::string>(out, element.get_string().value_unsafe());
      case dom::element_type::ARRAY: return nested([&] { return array(element.get_array().value_unsafe(), out); });
      case dom::element_type::OBJECT: return nested([&] { return object(element.get_object().value_unsafe(), out); });
    }
    return fail(Fault::malformed, "a value of an unknown kind");
  }
  // As Json::parse_members() of a document whose outermost value is `root`.
  [[nodiscard]] bool members(dom::element root, std::span<const std::string_view> names, std::span<Json> values, std::uint32_t& present) {
    if (!root.is_object()) return fail(Fault::malformed, "not an object");
    return count() && nested([&] {
             return each_member(root.get_object().value_unsafe(), [&](const dom::key_value_pair& member) {
               const auto name =
                   std::find_if(names.begin(), names.end(), [&](std::string_view each) { return same_name(each, member.key); });
               if (name == names.end()) return check(member.value);
               const auto at = static_cast<std::size_t>(name - names.begin());
               if ((present >> at & 1U) != 0) return check(member.value);  // a name that stands twice is found out with the last
               present |= 1U << at;
               return convert(member.value, values[at]);
             });
           });
  }
  [[nodiscard]] Error& error() noexcept { return error_; }
  // So far.
  [[nodiscard]] std::size_t values() const noexcept { return values_; }

 private:
  static constexpr std::size_t kPairwiseMax = 16;

  template <class Kind, class From>
  static bool put(Json& out, From value) {
    out.value_.emplace<Kind>(value);
    return true;
  }

  template <class Convert>
  [[nodiscard]] bool nested(Convert convert) {
    if (depth_ == limits_.depth_max) return fail(Fault::too_large, "nested deeper than " + std::to_string(limits_.depth_max));
    ++depth_;
    const bool is_done = convert();
    --depth_;
    return is_done;
  }

  [[nodiscard]] bool array(dom::array source, Json& out) {
    auto& values = out.value_.emplace<JsonArray>();
    values.reserve(room(source.size()));
    for (const dom::element element : source) {
      if (!convert(element, values.emplace_back())) return false;
    }
    return true;
  }

  [[nodiscard]] bool object(dom::object source, Json& out) {
    auto& members = out.value_.emplace<JsonObject>();
    members.reserve(room(source.size()));
    return each_member(source, [&](const dom::key_value_pair& member) {
      JsonMember& made = members.emplace_back(std::piecewise_construct, std::forward_as_tuple(member.key), std::tuple<>());
      return convert(member.value, made.second);
    });
  }

  // What convert() finds fault with, and no value.
  [[nodiscard]] bool check(dom::element element) {
    if (!count()) return false;
    if (element.is_object()) {
      return nested([&] {
        return each_member(element.get_object().value_unsafe(), [&](const dom::key_value_pair& member) { return check(member.value); });
      });
    }
    if (!element.is_array()) return true;
    return nested([&] {
      const dom::array elements = element.get_array().value_unsafe();
      return std::all_of(elements.begin(), elements.end(), [&](dom::element each) { return check(each); });
    });
  }

  // `take(member)` says whether it went well. The names differ.
  template <class Take>
  [[nodiscard]] bool each_member(dom::object source, Take take) {
    boost::container::small_vector<std::string_view, kPairwiseMax> names;
    for (const dom::key_value_pair member : source) {
      if (!count() || !take(member)) return false;
      names.push_back(member.key);
    }
    const std::optional<std::string_view> twice = duplicate(names);
    return !twice || fail(Fault::malformed, "duplicate member: " + shortened(*twice));
  }

  // One that stands twice; changes their order.
  static std::optional<std::string_view> duplicate(std::span<std::string_view> names) {
    if (names.size() <= kPairwiseMax) {
      for (std::size_t i = 1; i < names.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          if (same_name(names[i], names[j])) return names[i];
        }
      }
      return std::nullopt;
    }
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    return twice == names.end() ? std::nullopt : std::optional(*twice);
  }

  [[nodiscard]] bool count() { return ++values_ <= limits_.values_max || too_many(); }
  // What a good document never comes to, out of the way of what it does.
  [[nodiscard, gnu::cold, gnu::noinline]] bool too_many() {
    return fail(Fault::too_large, "more than " + std::to_string(limits_.values_max) + " values");
  }
  [[nodiscard]] bool fail(Fault fault, std::string detail) {
    error_ = make_error(fault, std::move(detail));
    return false;
  }
  [[nodiscard]] std::size_t room(std::size_t children) const noexcept { return std::min(children, limits_.values_max); }

  const JsonLimits& limits_;
  std::size_t depth_ = 0;
  std::size_t values_ = 0;
  Error error_{Fault::malformed, {}};
};

namespace {

// simdjson's document of a text, which stands in `parser` until it reads another.
Result<dom::element> read_with(dom::parser& parser, std::string_view text) {
  // Copies the text behind its own padding, which simdjson reads past the end into.
  constexpr bool kCopyAndPad = true;
  dom::element root;
  if (const simdjson::error_code error = parser.parse(text.data(), text.size(), kCopyAndPad).get(root)) {
    if (error == simdjson::MEMALLOC) throw std::bad_alloc();
    const bool is_limit = error == simdjson::DEPTH_ERROR || error == simdjson::CAPACITY;
    return make_error(is_limit ? Fault::too_large : Fault::malformed, simdjson::error_message(error));
  }
  return root;
}

// use(root) of the text's document, which ends with the call.
template <class Use>
auto read_text(std::string_view text, const JsonLimits& limits, Use use) -> decltype(use(dom::element())) {
  if (text.size() > limits.bytes_max) return make_error(Fault::too_large, "more than " + std::to_string(limits.bytes_max) + " bytes");
  if (text.empty()) return make_error(Fault::malformed, "empty");  // simdjson would copy from its null pointer
  if (text.starts_with("\xEF\xBB\xBF")) return make_error(Fault::malformed, "begins with a byte order mark");
  if (!SurrogateScan(text).is_well_formed()) return make_error(Fault::malformed, "an unpaired surrogate in an escape");
  const auto read = [&](dom::parser& parser) -> decltype(use(dom::element())) {
    Result<dom::element> root = read_with(parser, text);
    if (!root) return std::move(root.error());
    return use(*root);
  };
  if (text.size() > kReusedParserBytesMax) {
    dom::parser parser;
    return read(parser);
  }
  thread_local dom::parser parser;
  return read(parser);
}

// A number whatever it was written as: integers in one of two ranges, the rest as double.
using Number = std::variant<std::uint64_t, std::int64_t, double>;

Number normalized(std::int64_t number) {
  if (number < 0) return number;
  return static_cast<std::uint64_t>(number);
}

Number normalized(double number) {
  constexpr double kTwoTo63 = 9223372036854775808.0;
  if (std::trunc(number) != number) return number;  // NaN and infinities too
  if (number >= 0 && number < 2 * kTwoTo63) return static_cast<std::uint64_t>(number);
  if (number < 0 && number >= -kTwoTo63) return static_cast<std::int64_t>(number);
  return number;
}

std::optional<Number> as_number(const Json::Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return normalized(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return Number(*number);
  if (const auto* number = std::get_if<double>(&value)) return normalized(*number);
  return std::nullopt;
}

bool same_members(const JsonObject& a, const JsonObject& b) noexcept {
  if (a.size() != b.size()) return false;
  // Names are unique, so equal counts and each of a's found in b are enough. In the usual case the order is the same.
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto named = [&](const JsonMember& member) { return member.first == a[i].first; };
    const auto match = named(b[i]) ? b.begin() + static_cast<std::ptrdiff_t>(i) : std::find_if(b.begin(), b.end(), named);
    if (match == b.end() || !(match->second == a[i].second)) return false;
  }
  return true;
}

struct Dump {
  std::string& out;

  void operator()(std::nullptr_t) const { out += "null"; }
  void operator()(bool value) const { out += value ? "true" : "false"; }
  void operator()(std::int64_t value) const { fmt::format_to(std::back_inserter(out), "{}", value); }
  void operator()(std::uint64_t value) const { fmt::format_to(std::back_inserter(out), "{}", value); }
  void operator()(double value) const {
    if (!std::isfinite(value)) {  // cannot come from a document
      out += "null";
      return;
    }
    const std::size_t begin = out.size();
    fmt::format_to(std::back_inserter(out), "{}", value);
    // So that it stays a double when read again.
    if (out.find_first_of(".e", begin) == std::string::npos) out += ".0";
  }
  void operator()(const std::string& value) const { append_json_string(out, value); }
  void operator()(const JsonArray& array) const {
    out += '[';
    for (const Json& value : array) {
      if (&value != array.data()) out += ',';
      std::visit(*this, value.value());
    }
    out += ']';
  }
  void operator()(const JsonObject& object) const {
    out += '{';
    for (const JsonMember& member : object) {
      if (&member != object.data()) out += ',';
      append_json_string(out, member.first);
      out += ':';
      std::visit(*this, member.second.value());
    }
    out += '}';
  }
};

Result<std::string> unescaped(std::string_view step) {
  std::string out;
  for (std::size_t i = 0; i < step.size(); ++i) {
    if (step[i] != '~') {
      out.push_back(step[i]);
      continue;
    }
    ++i;
    if (i == step.size() || (step[i] != '0' && step[i] != '1')) return make_error(Fault::malformed, "'~' stands only as ~0 or ~1");
    out.push_back(step[i] == '0' ? '~' : '/');
  }
  return out;
}

// RFC 6901 §4: decimal without leading zeros. "-", the element behind the last, never exists.
std::optional<std::size_t> array_index(std::string_view step) noexcept {
  if (step.size() > 1 && step.front() == '0') return std::nullopt;
  return parse_decimal(step);
}

}  // namespace

Result<Json> Json::parse(std::string_view text, const JsonLimits& limits) {
  return read_text(text, limits, [&](dom::element root) -> Result<Json> {
    Json document;
    JsonConversion conversion(limits);
    if (!conversion.convert(root, document)) return std::move(conversion.error());
    return document;
  });
}

Json Json::parse_again(std::string_view text) {
  constexpr JsonLimits kNone{.bytes_max = SIZE_MAX, .depth_max = SIZE_MAX, .values_max = SIZE_MAX};
  Result<Json> read = parse(text, kNone);
  if (!read) throw std::logic_error("a document that was accepted before is none: " + read.error().detail);
  return std::move(*read);
}

Result<Json::Members> Json::parse_members(std::string_view text, std::span<const std::string_view> names, std::span<Json> values,
                                          const JsonLimits& limits) {
  return read_text(text, limits, [&](dom::element root) -> Result<Members> {
    Members members;
    JsonConversion conversion(limits);
    if (!conversion.members(root, names, values, members.present)) return std::move(conversion.error());
    members.values = conversion.values();
    return members;
  });
}

bool Json::is_number() const noexcept { return as_number(value_).has_value(); }

std::optional<double> Json::number() const noexcept {
  if (const auto* number = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&value_)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<double>(&value_)) return *number;
  return std::nullopt;
}

const Json* Json::find(std::string_view member) const noexcept {
  const JsonObject* members = object();
  if (members == nullptr) return nullptr;
  for (const JsonMember& candidate : *members) {
    if (same_name(candidate.first, member)) return &candidate.second;
  }
  return nullptr;
}

std::string Json::dump() const {
  std::string out;
  std::visit(Dump{out}, value_);
  return out;
}

bool operator==(const Json& a, const Json& b) noexcept {
  const std::optional<Number> number_a = as_number(a.value_);
  const std::optional<Number> number_b = as_number(b.value_);
  if (number_a || number_b) return number_a == number_b;
  if (a.value_.index() != b.value_.index()) return false;
  if (const JsonObject* object = a.object()) return same_members(*object, *b.object());
  return a.value_ == b.value_;
}

Result<JsonPointer> JsonPointer::parse(std::string_view text) {
  JsonPointer pointer;
  if (text.empty()) return pointer;
  if (text.front() != '/') return make_error(Fault::malformed, "a JSON pointer begins with '/'");
  for (const std::string_view step : split(text.substr(1), '/')) {
    Result<std::string> name = unescaped(step);
    if (!name) return name.error();
    pointer.steps_.push_back(std::move(*name));
  }
  return pointer;
}

JsonPointer JsonPointer::member(std::string_view name) {
  JsonPointer pointer;
  pointer.steps_.emplace_back(name);
  return pointer;
}

const Json* JsonPointer::find(const Json& document) const noexcept {
  const Json* at = &document;
  for (const std::string& step : steps_) {
    if (const JsonArray* array = at->array()) {
      const std::optional<std::size_t> index = array_index(step);
      if (!index || *index >= array->size()) return nullptr;
      at = &(*array)[*index];
    } else {
      at = at->find(step);
      if (at == nullptr) return nullptr;
    }
  }
  return at;
}

std::string JsonPointer::text() const {
  std::string out;
  for (const std::string& step : steps_) {
    out += '/';
    for (const char c : step) {
      if (c == '~') {
        out += "~0";
      } else if (c == '/') {
        out += "~1";
      } else {
        out += c;
      }
    }
  }
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += '"';
  std::size_t clean = 0;  // from here to i nothing needs an escape
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, clean, i - clean);
    clean = i + 1;
    out += '\\';
    switch (c) {
      case '"':
      case '\\': out += c; break;
      case '\b': out += 'b'; break;
      case '\f': out += 'f'; break;
      case '\n': out += 'n'; break;
      case '\r': out += 'r'; break;
      case '\t': out += 't'; break;
      default:
        out += "u00";
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15U];
    }
  }
  out.append(text, clean, text.size() - clean);
  out += '"';
}

}  // namespace sallyport
