#include "app/config_reader.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/config_keys.hpp"
#include "base/text.hpp"

namespace sallyport::app {
namespace {

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('.') + 1); }  // npos + 1 is 0

// The text of a scalar that is not blank; anything else is reported.
const std::string* scalar(Problems& problems, const Node& node, std::string_view expected) {
  if (node.kind == Node::Kind::refused) return nullptr;
  if (node.kind != Node::Kind::scalar) {
    problems.error(node.at, fmt::format("{} stands here; expected {}", kind_of(node), expected));
    return nullptr;
  }
  if (node.text.empty()) {
    problems.error(node.at, fmt::format("{} is empty; expected {}", node.expanded ? shown(node) : "this", expected));
    return nullptr;
  }
  return &node.text;
}

// Numbers and booleans are written without quotes; a value from the environment may need them for YAML's sake (`{ port: "${PORT}" }`).
bool is_plain(const Node& node) { return !node.quoted || node.expanded; }

// The integers and floats of YAML 1.1 and 1.2, base 60 (`1:30`) included. `127.0.0.1:80` is none: it has more than one point.
bool looks_like_number(std::string_view text) {
  if (text.front() == '+' || text.front() == '-') text.remove_prefix(1);
  if (text.empty()) return false;
  const std::string lower = to_lower(text);
  if (lower == ".inf" || lower == ".nan") return true;
  if (lower.size() > 2 && lower[0] == '0' && (lower[1] == 'x' || lower[1] == 'o' || lower[1] == 'b')) {
    return std::all_of(lower.begin() + 2, lower.end(), [](char c) { return hex_digit(c).has_value() || c == '_'; });
  }
  const auto is_digit = [&](std::size_t i) { return i < lower.size() && lower[i] >= '0' && lower[i] <= '9'; };
  if (!is_digit(0) && !(lower[0] == '.' && is_digit(1))) return false;
  int points = 0;
  int exponents = 0;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    const char c = lower[i];
    if (c == '.') {
      if (++points > 1) return false;
    } else if (c == 'e') {
      if (++exponents > 1 || !is_digit(i + 1 + (i + 1 < lower.size() && (lower[i + 1] == '+' || lower[i + 1] == '-') ? 1U : 0U)))
        return false;
    } else if (c == ':') {
      if (!is_digit(i + 1)) return false;
    } else if (!is_digit(i) && c != '_' && !((c == '+' || c == '-') && lower[i - 1] == 'e')) {
      return false;
    }
  }
  return true;
}

// Plain scalars that some YAML reads as no text.
bool is_ambiguous(std::string_view text) {
  static constexpr std::string_view kWords[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "~"};
  const std::string lower = to_lower(text);
  return std::find(std::begin(kWords), std::end(kWords), lower) != std::end(kWords) || looks_like_number(text);
}

// RFC 8259 §6 without exponents.
bool is_json_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const auto digits = [](std::string_view part) {
    return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (!digits(whole) || (whole.size() > 1 && whole.front() == '0')) return false;
  return point == std::string_view::npos || digits(text.substr(point + 1));
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
// Longer names first where one ends with the other.
constexpr Unit kTimeUnits[] = {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kSizeUnits[] = {{"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"B", 1}};

// A whole number without leading zeros, then a unit.
template <std::size_t N>
std::optional<std::uint64_t> with_unit(std::string_view text, const Unit (&units)[N]) {
  for (const Unit& unit : units) {
    if (!text.ends_with(unit.name)) continue;
    const std::string_view digits = text.substr(0, text.size() - unit.name.size());
    const std::optional<std::uint64_t> number = parse_decimal(digits);
    if (!number || (digits.size() > 1 && digits.front() == '0')) continue;  // "5m" ends with no "s", "5ms" with "s" too
    if (*number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

// In the largest unit that divides it: 250ms, 5m, 16KiB.
template <std::size_t N>
std::string spell(std::uint64_t value, const Unit (&units)[N]) {
  const Unit* best = nullptr;
  for (const Unit& unit : units) {
    const bool fits = value == 0 ? unit.factor == 1 : value % unit.factor == 0;
    if (fits && (best == nullptr || unit.factor > best->factor)) best = &unit;
  }
  return fmt::format("{}{}", value / best->factor, best->name);  // the smallest unit has the factor 1: there is always one
}

}  // namespace

MapReader::MapReader(Problems& problems, const Node& node, std::string path)
    : problems_(problems), node_(node), path_(std::move(path)), is_map_(node.kind == Node::Kind::map) {
  if (is_map_) {
    check_keys();
  } else if (node.kind != Node::Kind::refused) {
    problems.error(node.at, fmt::format("{} stands here; expected a mapping (key: value){}", kind_of(node),
                                        path_.empty() ? std::string() : " for " + path_));
  }
}

void MapReader::check_keys() const {
  const std::vector<const Key*> known = keys_below(path_);
  std::vector<std::string_view> names;
  for (const Key* key : known) names.push_back(last_part(key->path));
  for (const Member& member : node_.members) {
    const auto found = std::find(names.begin(), names.end(), std::string_view(member.key.text));
    if (found == names.end()) {
      const std::string_view meant = nearest(member.key.text, names);
      const std::string where = path_.empty() ? "the configuration" : path_;
      problems_.error(member.key.at,
                      meant.empty()
                          ? fmt::format("unknown key {} in {}; expected one of: {}", shown(member.key), where, fmt::join(names, ", "))
                          : fmt::format("unknown key {} in {}; did you mean '{}'?", shown(member.key), where, meant));
      continue;
    }
    const Key& key = *known[static_cast<std::size_t>(found - names.begin())];
    if (key.support == Support::refused) {
      problems_.error(member.key.at, fmt::format("{} is not supported by this version; remove it", key.path));
    } else if (key.support == Support::checked && !key.note.empty()) {
      problems_.warning(member.key.at, fmt::format("{}: {}", key.path, key.note));
    }
  }
}

std::string MapReader::path_of(std::string_view key) const { return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key); }

bool MapReader::has(std::string_view key) const {
  return std::any_of(node_.members.begin(), node_.members.end(), [&](const Member& member) { return member.key.text == key; });
}

Place MapReader::place_of(std::string_view key) const {
  for (const Member& member : node_.members) {
    if (member.key.text == key) return member.key.at;
  }
  return node_.at;
}

const Node* MapReader::find(std::string_view key) const {
  for (const Member& member : node_.members) {
    if (member.key.text != key) continue;
    if (member.value.kind == Node::Kind::refused) return nullptr;
    if (member.value.kind == Node::Kind::blank) {
      problems_.error(member.value.at, fmt::format("{} is blank; expected a value, or leave the key out", path_of(key)));
      return nullptr;
    }
    return &member.value;
  }
  return nullptr;
}

const Node* MapReader::require(std::string_view key, std::string_view expected) const {
  if (is_map_ && !has(key)) problems_.error(node_.at, fmt::format("{} is missing; expected {}", path_of(key), expected));
  return find(key);
}

std::string because(const Node& node, const Error& error) { return node.expanded ? std::string() : ": " + error.detail; }

std::optional<std::string> read_text(Problems& problems, const Node& node, std::string_view expected) {
  const std::string* text = scalar(problems, node, expected);
  if (text == nullptr) return std::nullopt;
  if (!node.quoted && !node.expanded && is_ambiguous(*text)) {
    problems.error(
        node.at, fmt::format("{} is no text to every YAML reader; put it in quotes if text is meant; expected {}", shown(node), expected));
    return std::nullopt;
  }
  if (std::any_of(text->begin(), text->end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }) ||
      !is_utf8(*text)) {
    problems.error(node.at, fmt::format("{} holds a control byte or is not UTF-8; expected {}", shown(node), expected));
    return std::nullopt;
  }
  return *text;
}

std::optional<std::string> read_name(Problems& problems, const Node& node) {
  constexpr std::size_t kNameBytesMax = 64;
  std::optional<std::string> text = read_text(problems, node, "a name");
  if (!text) return std::nullopt;
  const auto is_plain_byte = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const bool is_name =
      text->size() <= kNameBytesMax && is_plain_byte(text->front()) &&
      std::all_of(text->begin(), text->end(), [&](char c) { return is_plain_byte(c) || c == '-' || c == '_' || c == '.'; });
  if (is_name) return text;
  problems.error(node.at, fmt::format("{} is no name; expected at most {} letters, digits, '.', '_' and '-', the first a letter or digit",
                                      shown(node), kNameBytesMax));
  return std::nullopt;
}

std::optional<bool> read_boolean(Problems& problems, const Node& node) {
  const std::string* text = scalar(problems, node, "true or false");
  if (text == nullptr) return std::nullopt;
  if (is_plain(node) && *text == "true") return true;
  if (is_plain(node) && *text == "false") return false;
  problems.error(node.at, fmt::format("{} is no boolean; expected true or false", shown(node)));
  return std::nullopt;
}

std::optional<std::uint64_t> read_integer(Problems& problems, const Node& node, std::uint64_t least, std::uint64_t most) {
  const std::string expected = least == most ? fmt::format("{}", least) : fmt::format("a whole number from {} to {}", least, most);
  const std::string* text = scalar(problems, node, expected);
  if (text == nullptr) return std::nullopt;
  const std::optional<std::uint64_t> number = parse_decimal(*text);
  const bool has_leading_zero = text->size() > 1 && text->front() == '0';  // octal to YAML 1.1
  if (number && !has_leading_zero && is_plain(node) && *number >= least && *number <= most) return number;
  problems.error(node.at, fmt::format("{} stands here; expected {}{}", shown(node), expected, is_plain(node) ? "" : ", without quotes"));
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const std::optional<std::uint64_t> value = with_unit(text, kTimeUnits);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*value));
}

std::optional<std::chrono::milliseconds> read_duration(Problems& problems, const Node& node, const DurationRange& range) {
  const std::string expected = fmt::format("a duration like 250ms, 5s, 15m, 24h or 7d, from {} to {}",
                                           spell(static_cast<std::uint64_t>(range.least.count()), kTimeUnits),
                                           spell(static_cast<std::uint64_t>(range.most.count()), kTimeUnits));
  const std::string* text = scalar(problems, node, expected);
  if (text == nullptr) return std::nullopt;
  const std::optional<std::chrono::milliseconds> value = parse_duration(*text);
  if (value && *value >= range.least && *value <= range.most) return value;
  problems.error(node.at, fmt::format("{} stands here; expected {}", shown(node), expected));
  return std::nullopt;
}

std::optional<std::uint64_t> read_size(Problems& problems, const Node& node, std::uint64_t least, std::uint64_t most) {
  const std::string expected =
      fmt::format("a size with its unit like 512B, 16KiB, 10MiB or 1GiB, from {} to {}", spell(least, kSizeUnits), spell(most, kSizeUnits));
  const std::string* text = scalar(problems, node, expected);
  if (text == nullptr) return std::nullopt;
  const std::optional<std::uint64_t> value = with_unit(*text, kSizeUnits);
  if (value && *value >= least && *value <= most) return value;
  problems.error(node.at, fmt::format("{} stands here; expected {}", shown(node), expected));
  return std::nullopt;
}

std::vector<const Node*> read_list(Problems& problems, const Node& node, std::string_view expected) {
  std::vector<const Node*> elements;
  if (node.kind == Node::Kind::refused) return elements;
  if (node.kind != Node::Kind::sequence) {
    problems.error(node.at,
                   fmt::format("{} stands here; expected {}", node.kind == Node::Kind::scalar ? shown(node) : kind_of(node), expected));
    return elements;
  }
  if (node.items.empty()) problems.error(node.at, fmt::format("the list is empty; expected {}", expected));
  for (const Node& item : node.items) {
    if (item.kind == Node::Kind::blank) {
      problems.error(item.at, fmt::format("an element is blank; expected {}", expected));
    } else if (item.kind != Node::Kind::refused) {
      elements.push_back(&item);
    }
  }
  return elements;
}

std::optional<Json> read_json_scalar(Problems& problems, const Node& node) {
  constexpr std::string_view kExpected = "text, a number, true or false";
  const std::string* text = scalar(problems, node, kExpected);
  if (text == nullptr) return std::nullopt;
  if (!node.quoted) {
    if (*text == "true") return Json(true);
    if (*text == "false") return Json(false);
    if (is_json_number(*text)) {
      const Result<Json> number = Json::parse(*text);
      if (number) return *number;
      problems.error(node.at, fmt::format("{} is no number that can be compared; put it in quotes if text is meant", shown(node)));
      return std::nullopt;
    }
  }
  std::optional<std::string> plain = read_text(problems, node, kExpected);
  if (!plain) return std::nullopt;
  return Json(Json::Value(std::move(*plain)));
}

std::optional<std::size_t> read_word(Problems& problems, const Node& node, std::string_view path,
                                     const std::vector<std::string_view>& words) {
  const std::string expected = words.size() == 1 ? std::string(words.front()) : fmt::format("one of: {}", fmt::join(words, ", "));
  const std::string* text = scalar(problems, node, expected);
  if (text == nullptr) return std::nullopt;
  if (is_later_value(path, *text)) {
    problems.error(node.at, fmt::format("{} {} is not supported by this version; expected {}", path, shown(node), expected));
    return std::nullopt;
  }
  const auto found = std::find(words.begin(), words.end(), std::string_view(*text));
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  const std::string_view meant = node.expanded ? std::string_view() : nearest(*text, words);
  problems.error(node.at, meant.empty() ? fmt::format("{} stands here; expected {}", shown(node), expected)
                                        : fmt::format("{} stands here; did you mean '{}'? expected {}", shown(node), meant, expected));
  return std::nullopt;
}

std::optional<Network> read_network(Problems& problems, const Node& item) {
  const auto text = read_text(problems, item, "a network like 10.0.0.0/8");
  if (!text) return std::nullopt;
  const Result<Network> network = Network::parse(*text);
  if (network) return *network;
  problems.error(item.at,
                 fmt::format("{} is no network{}; expected something like 10.0.0.0/8", shown(item), because(item, network.error())));
  return std::nullopt;
}

}  // namespace sallyport::app
