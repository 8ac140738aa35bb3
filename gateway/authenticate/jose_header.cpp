#include "authenticate/jose_header.hpp"

#include <array>
#include <vector>

#include "base/keyed_hash.hpp"
#include "base/text.hpp"

namespace sallyport::authenticate {
namespace {

using identity::RefusalReason;
using identity::Refused;

Refused refuse_header(RefusalReason reason, std::string detail) { return Refused{reason, std::move(detail)}; }

// RFC 8725 §3.10 and hazards A09-A13, A19, A20: each of these would have the token say how, or with what, it is to be verified.
constexpr std::array<std::string_view, 11> kRefusedMembers{"crit", "b64", "zip",      "jwk", "jku", "x5u",
                                                           "x5c",  "x5t", "x5t#S256", "cty", "enc"};

// A member that must be a string when present.
std::optional<Refused> read_member(const Json& header, std::string_view member, std::optional<std::string>& out) {
  const Json* value = header.find(member);
  if (value == nullptr) return std::nullopt;
  if (value->string() == nullptr) return refuse_header(RefusalReason::malformed, std::string(member) + " is no string");
  out = *value->string();
  return std::nullopt;
}

// The check of what no one has checked before.
std::optional<Refused> read_unknown(std::string_view encoded, JoseHeader& out) {
  const std::optional<std::string> text = base64url_decode(encoded);
  if (!text) return refuse_header(RefusalReason::malformed, "the header is no base64url");
  if (text->size() > kHeaderBytesMax)
    return refuse_header(RefusalReason::token_too_large, "the header has " + std::to_string(text->size()) + " bytes");
  const Result<Json> header = Json::parse(*text, {.bytes_max = kHeaderBytesMax});
  if (!header || header->object() == nullptr) return refuse_header(RefusalReason::malformed, "the header is no strict JSON object");
  for (const std::string_view member : kRefusedMembers) {
    if (header->find(member) != nullptr) return refuse_header(RefusalReason::header_refused, std::string(member));
  }
  const Json* alg = header->find("alg");
  if (alg == nullptr || alg->string() == nullptr) return refuse_header(RefusalReason::algorithm_refused, "no string member alg");
  const std::optional<Algorithm> algorithm = parse_algorithm(*alg->string());
  if (!algorithm) return refuse_header(RefusalReason::algorithm_refused, "none or unknown");
  out.algorithm = *algorithm;
  if (auto refused = read_member(*header, "kid", out.key_id)) return refused;
  return read_member(*header, "typ", out.type);
}

// Headers that were accepted, each at the one place that the hash of its text says; another that belongs there takes it. Bounded, because
// whoever sends tokens chooses their headers. Nothing here depends on keys or configuration: it holds for as long as the thread runs.
class AcceptedHeaders {
 public:
  static constexpr std::size_t kPlaces = 128;
  static constexpr std::size_t kBytesMax = 512;  // of a header that is remembered, encoded

  // nullptr: not remembered.
  [[nodiscard]] const JoseHeader* find(std::string_view encoded) const noexcept {
    const Place& place = places_[hash_of_(encoded) % kPlaces];
    return !encoded.empty() && place.encoded == encoded ? &place.header : nullptr;
  }
  void remember(std::string_view encoded, const JoseHeader& header) {
    if (encoded.size() <= kBytesMax) places_[hash_of_(encoded) % kPlaces] = Place{std::string(encoded), header};
  }

 private:
  struct Place {
    std::string encoded;  // empty: nobody's
    JoseHeader header;
  };
  const KeyedHash hash_of_;
  std::vector<Place> places_{kPlaces};
};

}  // namespace

std::optional<Refused> JoseHeader::read(std::string_view encoded, JoseHeader& out) {
  thread_local AcceptedHeaders accepted;
  if (const JoseHeader* known = accepted.find(encoded)) {
    out = *known;
    return std::nullopt;
  }
  if (auto refused = read_unknown(encoded, out)) return refused;
  accepted.remember(encoded, out);
  return std::nullopt;
}

}  // namespace sallyport::authenticate
