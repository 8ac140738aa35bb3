// Strict JSON (RFC 8259) as immutable values. On simdjson's DOM parser, which rejects every malformed document;
// what it lets through and we do not: duplicate member names (after unescaping), a byte order mark, depth and size over a limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace sallyport {

class Json;
using JsonArray = std::vector<Json>;
using JsonMember = std::pair<std::string, Json>;
// Members in the order of the document; names are unique.
using JsonObject = std::vector<JsonMember>;

struct JsonLimits {
  std::size_t bytes_max = 64 * 1024;
  std::size_t depth_max = 64;       // nesting of arrays and objects; the outermost counts as 1
  std::size_t values_max = 20'000;  // scalars, arrays, objects and member names together
};

// One JSON value. Numbers keep the kind they were written in: integers that fit stay integers.
class Json {
 public:
  using Value = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, JsonArray, JsonObject>;

  Json() : value_(nullptr) {}
  explicit Json(Value value) : value_(std::move(value)) {}

  // Fault::malformed or too_large; `detail` says where. The document may be any value, as RFC 8259 allows.
  [[nodiscard]] static Result<Json> parse(std::string_view text, const JsonLimits& limits = {});
  // Of a text that was accepted before, within whatever limits.
  [[nodiscard]] static Json parse_again(std::string_view text);
  // Of an object of which few members are asked for: `values[i]`, null before, becomes the one called `names[i]`; the rest is checked as
  // strictly as parse() does and not kept. Fault::malformed, too: it is no object. At most 32 names.
  struct Members {
    std::uint32_t present = 0;  // bit i: names[i] is there, be it null
    std::size_t values = 0;     // in the whole object, as JsonLimits counts them
  };
  [[nodiscard]] static Result<Members> parse_members(std::string_view text, std::span<const std::string_view> names, std::span<Json> values,
                                                     const JsonLimits& limits = {});

  [[nodiscard]] bool is_null() const noexcept { return std::holds_alternative<std::nullptr_t>(value_); }
  // nullptr when the value is of another kind. Pointers are valid while *this lives unchanged.
  [[nodiscard]] const std::string* string() const noexcept { return std::get_if<std::string>(&value_); }
  [[nodiscard]] const bool* boolean() const noexcept { return std::get_if<bool>(&value_); }
  [[nodiscard]] const JsonArray* array() const noexcept { return std::get_if<JsonArray>(&value_); }
  [[nodiscard]] const JsonObject* object() const noexcept { return std::get_if<JsonObject>(&value_); }
  [[nodiscard]] bool is_number() const noexcept;
  // Any number as a double; nullopt when it is none.
  [[nodiscard]] std::optional<double> number() const noexcept;
  [[nodiscard]] const Value& value() const noexcept { return value_; }
  // The value out of a document that nobody needs any more.
  [[nodiscard]] Value take() && noexcept { return std::move(value_); }

  // The member of that name; nullptr when absent or when *this is no object.
  [[nodiscard]] const Json* find(std::string_view member) const noexcept;

  // RFC 8259 text without white space; strings escaped as §7 demands, bytes 0x80-0xFF as they are.
  [[nodiscard]] std::string dump() const;

  // Numbers compare by value (1 equals 1.0), arrays in order, objects without order.
  friend bool operator==(const Json& a, const Json& b) noexcept;

 private:
  friend class JsonConversion;  // json.cpp
  Value value_;
};

// RFC 6901. Compiled once at load, evaluated per token.
class JsonPointer {
 public:
  // Fault::malformed unless empty or beginning with '/', with '~' only as "~0" and "~1".
  [[nodiscard]] static Result<JsonPointer> parse(std::string_view text);
  // A pointer to a top-level member of exactly that name, whatever characters it holds.
  [[nodiscard]] static JsonPointer member(std::string_view name);

  // nullptr when a step is missing. Array steps are decimal without leading zeros.
  [[nodiscard]] const Json* find(const Json& document) const noexcept;
  [[nodiscard]] std::string text() const;
  friend bool operator==(const JsonPointer&, const JsonPointer&) = default;

 private:
  std::vector<std::string> steps_;
};

// Appends `text` as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace sallyport
