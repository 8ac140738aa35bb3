// Any bytes as a JOSE header, and as a whole token. Whatever is taken must obey the rules of UnverifiedJws.
#include <cstdint>

#include "authenticate/jwt.hpp"
#include "base/text.hpp"
#include "fuzz/require.hpp"

namespace {

using namespace sallyport;
using authenticate::Algorithm;
using authenticate::UnverifiedJws;
using authenticate::UnverifiedJwt;

// What a header that was taken must look like to an independent reading of its bytes.
void check_taken(const UnverifiedJws& jws, std::string_view header) {
  const Result<Json> parsed = Json::parse(header);
  require(parsed && parsed->object() != nullptr, "a header that was taken is an object");
  for (const char* member : {"crit", "b64", "zip", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "cty", "enc"})
    require(parsed->find(member) == nullptr, "no member that is refused");
  const Json* alg = parsed->find("alg");
  require(alg != nullptr && alg->string() != nullptr && *alg->string() == name(jws.algorithm()), "the algorithm is what alg says");
  const Json* kid = parsed->find("kid");
  require((kid != nullptr) == jws.key_id().has_value(), "a kid is there or not");
  require(kid == nullptr || (kid->string() != nullptr && *kid->string() == *jws.key_id()), "the kid is what it says");
  const Json* typ = parsed->find("typ");
  require((typ != nullptr) == jws.type().has_value(), "a type is there or not");
}

void as_header(std::string_view bytes) {
  const std::string token = base64url_encode(bytes) + ".e30.AAAA";
  const auto jws = UnverifiedJws::parse(token);
  const auto jwt = UnverifiedJwt::parse(token);
  require(jws.index() == jwt.index(), "the payload {} changes nothing");
  if (const auto* taken = std::get_if<UnverifiedJws>(&jws)) {
    require(bytes.size() <= authenticate::kHeaderBytesMax, "no header over the limit");
    check_taken(*taken, bytes);
  }
}

void as_token(std::string_view bytes) {
  const auto jws = UnverifiedJws::parse(bytes);
  if (!std::holds_alternative<UnverifiedJws>(jws)) return;
  require(bytes.size() <= authenticate::kTokenBytesMax, "no token over the limit");
  const auto parts = split(bytes, '.');
  require(parts.size() == 3, "three parts");
  for (const std::string_view part : parts) {
    const auto decoded = base64url_decode(part);
    require(decoded.has_value() && !decoded->empty(), "no empty part");
    require(base64url_encode(*decoded) == part, "one spelling only");
  }
  check_taken(std::get<UnverifiedJws>(jws), *base64url_decode(parts[0]));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  as_header(bytes);
  as_token(bytes);
  return 0;
}
