// One field per line, "Name: value", as a request; the credential that is found must stand there, alone of its kind.
#include <cstdint>

#include "authenticate/credentials.hpp"
#include "base/text.hpp"
#include "fuzz/require.hpp"

namespace {

using namespace sallyport;
using authenticate::BearerToken;
using authenticate::CredentialPlan;
using authenticate::TokenPlace;
using authenticate::TwoCredentials;

http::RequestHead head_of(std::string_view text) {
  http::RequestHead head;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    http::Field field;
    field.name = line.substr(0, colon);
    field.value = trim_ows(line.substr(colon + 1));
    field.id = http::field_id(field.name);
    head.fields.push_back(field);
  }
  return head;
}

CredentialPlan plan() {
  return {
      .steps = {{CredentialPlan::Step::Kind::jwt, 0b111}},
      .issuers = {},
      .token_places = {{TokenPlace::Kind::authorization, ""}, {TokenPlace::Kind::cookie, "access"}, {TokenPlace::Kind::header, "x-token"}},
      .sessions = nullptr};
}

void check_token(const http::RequestHead& head, const BearerToken& bearer) {
  require(!bearer.token.empty() && bearer.places != 0 && bearer.places < 8, "a token with a place");
  bool stands_there = false;
  for (const http::Field& field : head.fields) stands_there = stands_there || field.value.find(bearer.token) != std::string_view::npos;
  require(stands_there, "the token stands in the request");
  if ((bearer.places & 1U) != 0) {
    const std::string_view value = head.find(http::FieldId::authorization)->value;
    require(value.size() == 7 + bearer.token.size() && equals_ignoring_case(value.substr(0, 7), "Bearer "),
            "the token is all that follows Bearer");
    require(bearer.token.find(' ') == std::string_view::npos, "no space in a token");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const CredentialPlan kPlan = plan();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const http::RequestHead head = head_of(text);
  const auto found = find_credential(head, kPlan);
  if (head.count(http::FieldId::authorization) > 1)
    require(std::holds_alternative<TwoCredentials>(found), "two Authorization fields are two credentials");
  if (const auto* bearer = std::get_if<BearerToken>(&found)) check_token(head, *bearer);
  // The order of other fields must not matter to the verdict.
  const std::string more = "X-Before: 1\n" + std::string(text) + "\nX-After: 1";
  const http::RequestHead with_more = head_of(more);
  require(find_credential(with_more, kPlan).index() == found.index(), "other fields do not matter");
  return 0;
}
