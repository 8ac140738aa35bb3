#include "identity/owned_names.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::identity {
namespace {

constexpr char folded(char c) noexcept {
  const char lower = ascii_lower(c);
  return (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') ? lower : '-';
}

// By table: every byte of every field's name goes through here.
constexpr std::array<char, 256> make_fold_table() {
  std::array<char, 256> table{};
  for (std::size_t i = 0; i != table.size(); ++i) table[i] = folded(static_cast<char>(i));
  return table;
}
constexpr std::array<char, 256> kFold = make_fold_table();

constexpr char fold(char c) noexcept { return kFold[static_cast<unsigned char>(c)]; }

// FNV-1a over the folded bytes. The names come from the configuration; a client that finds collisions gains nothing but a comparison.
std::size_t hash_folded(std::string_view name) noexcept {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(fold(c))) * 1099511628211ULL;
  return static_cast<std::size_t>(hash ^ (hash >> 32));
}

std::string_view without_outer_separators(std::string_view name) noexcept {
  while (!name.empty() && fold(name.front()) == '-') name.remove_prefix(1);
  while (!name.empty() && fold(name.back()) == '-') name.remove_suffix(1);
  return name;
}

constexpr std::size_t index_of_first(char c) noexcept {
  return c <= '9' ? static_cast<std::size_t>(c - '0') : static_cast<std::size_t>(c - 'a') + 10;
}
constexpr std::uint64_t length_bit(std::size_t length) noexcept { return std::uint64_t{1} << std::min<std::size_t>(length, 63); }

bool starts_folded(std::string_view name, std::string_view prefix) noexcept {
  return name.size() >= prefix.size() && fold_alike(name.substr(0, prefix.size()), prefix);
}

constexpr std::array<std::string_view, 8> kIdentityNames{"x-auth-subject", "x-auth-issuer",  "x-auth-method",    "x-auth-roles",
                                                         "x-auth-scopes",  "x-auth-session", "x-auth-assertion", "x-auth-establish"};
// Of those, the ones that mean something to the gateway itself.
constexpr std::array<std::string_view, 3> kIdentityNamesReserved{"x-auth-session", "x-auth-assertion", "x-auth-establish"};

constexpr std::array<std::string_view, 2> kPrefixes{"x-forwarded-", "x-accel-"};

constexpr auto kSurroundings = std::to_array<std::string_view>({
    "x-forwarded",
    "forwarded",
    "x-real-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-request-id",
    "traceparent",
    "via",
    // RFC 9110 §7.6.1 and what else concerns one hop
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "upgrade",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
    "http2-settings",
    "expect",
    "content-length",
    "transfer-encoding",
    "proxy",
    "x-sendfile",
    "x-sendfile-type",
});

constexpr auto kExactPasses = std::to_array<std::string_view>({
    "host",
    "authorization",
    "cookie",
    "content-type",
    "content-encoding",
    "origin",
    "tracestate",
});

// Not removed, but no place for an identity either.
constexpr auto kReservedBesides = std::to_array<std::string_view>({
    "set-cookie",
    "content-language",
    "content-location",
    "content-range",
    "accept",
    "accept-encoding",
    "range",
    "date",
    "location",
    "server",
    "www-authenticate",
    "cache-control",
    "user-agent",
    "referer",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "sec-fetch-site",
    "sec-fetch-mode",
});

}  // namespace

std::string fold_name(std::string_view name) {
  std::string result(name);
  std::ranges::transform(result, result.begin(), fold);
  return result;
}

bool fold_alike(std::string_view a, std::string_view b) noexcept {
  a = without_outer_separators(a);
  b = without_outer_separators(b);
  // From the end: most names that are compared here begin alike (`X-Auth-`).
  return a.size() == b.size() &&
         std::equal(a.rbegin(), a.rend(), b.rbegin(), [](char one, char other) { return fold(one) == fold(other); });
}

OwnedNames::OwnedNames(const std::vector<std::string>& identity_headers) {
  const std::size_t names = identity_headers.size() + kIdentityNames.size() + kSurroundings.size() + kExactPasses.size();
  std::size_t size = 64;
  while (size < names * 4) size *= 2;
  slots_.resize(size);
  mask_ = size - 1;

  for (const std::string_view name : kIdentityNames) add(name, false);
  for (const std::string_view name : kSurroundings) add(name, false);
  for (const std::string& name : identity_headers) add(name, false);
  // Last, so that a name that is owned outright stays so.
  for (const std::string_view name : kExactPasses) add(name, true);
}

void OwnedNames::add(std::string_view name, bool exact_passes) {
  name = without_outer_separators(name);
  if (name.empty()) return;
  std::size_t at = hash_folded(name) & mask_;
  for (; !slots_[at].folded.empty(); at = (at + 1) & mask_) {
    if (fold_alike(slots_[at].folded, name)) return;
  }
  slots_[at] = Slot{fold_name(name), exact_passes};
  lengths_[index_of_first(fold(name.front()))] |= length_bit(name.size());
}

bool OwnedNames::owns(std::string_view name) const noexcept {
  const std::string_view core = without_outer_separators(name);
  if (core.empty()) return false;
  const char first = fold(core.front());
  if (first == 'x') {
    for (const std::string_view prefix : kPrefixes) {
      if (starts_folded(core, prefix)) return true;
    }
  }
  if ((lengths_[index_of_first(first)] & length_bit(core.size())) == 0) return false;
  for (std::size_t at = hash_folded(core) & mask_; !slots_[at].folded.empty(); at = (at + 1) & mask_) {
    const Slot& slot = slots_[at];
    if (fold_alike(slot.folded, core)) return !(slot.exact_passes && equals_ignoring_case(name, slot.folded));
  }
  return false;
}

bool OwnedNames::is_reserved(std::string_view name) {
  const std::string text = fold_name(without_outer_separators(name));
  const auto holds = [&text](const auto& names) { return std::ranges::find(names, text) != names.end(); };
  return text.empty() || holds(kIdentityNamesReserved) || holds(kSurroundings) || holds(kExactPasses) || holds(kReservedBesides) ||
         std::ranges::any_of(kPrefixes, [&text](std::string_view prefix) { return text.starts_with(prefix); });
}

}  // namespace sallyport::identity
