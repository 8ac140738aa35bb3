#include "issue/establishment.hpp"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/text.hpp"

namespace sallyport::issue {
namespace {

constexpr std::array<std::string_view, 9> kOnlyTheGatewaysOwn{"iss", "aud", "exp", "nbf", "iat", "jti", "sid", "typ", "cnf"};
constexpr std::chrono::minutes kClockSkewMax{5};

Error bad_answer(std::string detail) { return make_error(Fault::malformed, std::move(detail)); }

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7F;
}

Result<void> check_subject(std::string_view subject) {
  if (subject.empty()) return bad_answer("sub is empty");
  if (subject.size() > kSubjectBytesMax) return make_error(Fault::too_large, "sub");
  if (!is_utf8(subject) || std::any_of(subject.begin(), subject.end(), is_control)) {
    return bad_answer("sub holds a control character or is no UTF-8");
  }
  return {};
}

std::optional<std::int64_t> integer(const Json& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value.value())) return *number;
  // Only what does not fit the other kind is of this one.
  return std::nullopt;
}

// When the caller was recognised, in whole seconds and never after `now`.
Result<std::int64_t> authentication_time(const Json* stated, WallTime now) {
  const std::int64_t latest = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  if (stated == nullptr) return latest;
  const std::optional<std::int64_t> time = integer(*stated);
  if (!time || *time < 0) return bad_answer("auth_time is no integer from 0");
  if (*time > latest + std::chrono::seconds(kClockSkewMax).count()) return bad_answer("auth_time is in the future");
  return std::min(*time, latest);
}

Result<Principal> principal_of(std::string subject, const JsonObject& stated, WallTime now) {
  if (auto checked = check_subject(subject); !checked) return checked.error();
  JsonObject claims;
  const Json* stated_time = nullptr;
  for (const auto& [member, value] : stated) {
    if (std::find(kOnlyTheGatewaysOwn.begin(), kOnlyTheGatewaysOwn.end(), member) != kOnlyTheGatewaysOwn.end()) {
      return bad_answer("a claim that only the gateway may state");
    }
    if (member == "sub") continue;
    if (member == "auth_time") {
      stated_time = &value;
      continue;
    }
    claims.emplace_back(member, value);
  }
  const Result<std::int64_t> time = authentication_time(stated_time, now);
  if (!time) return time.error();
  const Json auth_time(Json::Value(std::in_place_type<std::int64_t>, *time));
  claims.emplace_back("auth_time", auth_time);
  return Principal{std::move(subject), Json(Json::Value(std::move(claims)))};
}

constexpr JsonLimits kLimits{.bytes_max = kEstablishmentBytesMax, .depth_max = kEstablishmentDepthMax};

}  // namespace

Result<Principal> read_establishment(std::string_view value, WallTime now) {
  if (value.size() > (kEstablishmentBytesMax * 4 + 2) / 3) return make_error(Fault::too_large, "over 4 KiB");
  const std::optional<std::string> text = base64url_decode(value);
  if (!text) return bad_answer("no base64url");
  const Result<Json> document = Json::parse(*text, kLimits);
  // The parser's own words may quote what it read.
  if (!document) return make_error(document.error().fault, "no strict JSON within the limits");
  if (document->object() == nullptr) return bad_answer("no JSON object");
  const Json* subject = document->find("sub");
  if (subject == nullptr || subject->string() == nullptr) return bad_answer("no string member sub");
  return principal_of(*subject->string(), *document->object(), now);
}

Result<Principal> make_principal(std::string subject, Json claims, WallTime now) {
  if (claims.object() == nullptr) return bad_answer("the claims are no JSON object");
  if (claims.find("sub") != nullptr) return bad_answer("the subject stands beside the claims, not in them");
  // Written and read again, they meet the very limits that hold for those of an upstream.
  const Result<Json> read = Json::parse(claims.dump(), kLimits);
  if (!read) return make_error(read.error().fault, "the claims are over the limits");
  return principal_of(std::move(subject), *read->object(), now);
}

}  // namespace sallyport::issue
