// One request on its way through OutboundRequest::build, for the tests that look at what is sent.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "http/request_parser.hpp"
#include "identity/outbound_request.hpp"
#include "support/identity_builder.hpp"
#include "support/permit_builder.hpp"

namespace sallyport::identity::testing {

using sallyport::testing::IdentityBuilder;
using sallyport::testing::PermitBuilder;

inline constexpr std::string_view kTraceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

// Raw bytes in, raw bytes out.
class Outbound : public ::testing::Test {
 protected:
  Outbound() { plan_.headers = default_identity_headers(); }

  void parse(std::string_view start, const std::vector<std::string>& fields) {
    raw_ = std::string(start) + " HTTP/1.1\r\n";
    for (const std::string& field : fields) raw_ += field + "\r\n";
    raw_ += "\r\n";
    http::RequestParser parser(limits_);
    const http::HeadOutcome outcome = parser.parse(raw_, request_);
    if (const auto* refused = std::get_if<http::HeadRefused>(&outcome)) FAIL() << refused->detail << "\n" << raw_;
    ASSERT_TRUE(std::holds_alternative<http::HeadParsed>(outcome));
  }

  std::variant<OutboundRequest, ClaimRefused> build(const Permit& permit) {
    const OwnedNames owned(owned_headers_);
    return OutboundRequest::build(permit, plan_, owned, request_, context_, out_);
  }

  // The head that is sent, as lines without their CRLF; checks the form on the way.
  std::vector<std::string> send(const Permit& permit, std::string_view start, const std::vector<std::string>& fields) {
    parse(start, fields);
    out_.clear();
    const auto built = build(permit);
    const auto* outbound = std::get_if<OutboundRequest>(&built);
    if (outbound == nullptr) {
      ADD_FAILURE() << std::get<ClaimRefused>(built).header << ": " << std::get<ClaimRefused>(built).detail;
      return {};
    }
    head_ = outbound->head();
    target_ = outbound->target();
    EXPECT_EQ(out_.view(), head_);
    EXPECT_TRUE(head_.ends_with("\r\n\r\n"));
    std::vector<std::string> lines;
    for (std::string_view rest = std::string_view(head_).substr(0, head_.size() - 2); !rest.empty();) {
      const std::size_t end = rest.find("\r\n");
      lines.emplace_back(rest.substr(0, end));
      rest.remove_prefix(end + 2);
      EXPECT_EQ(lines.back().find_first_of(std::string_view("\r\n\0", 3)), std::string::npos) << lines.back();
      EXPECT_FALSE(lines.back().empty());
    }
    return lines;
  }
  std::vector<std::string> get(const Permit& permit, const std::vector<std::string>& fields, std::string_view target = "/x") {
    std::vector<std::string> all{"Host: api.example.com"};
    all.insert(all.end(), fields.begin(), fields.end());
    return send(permit, "GET " + std::string(target), all);
  }
  std::string refusal(const Permit& permit) {
    parse("GET /x", {"Host: api.example.com"});
    out_.clear();
    out_.append("before");
    const auto built = build(permit);
    const auto* refused = std::get_if<ClaimRefused>(&built);
    if (refused == nullptr) return "sent";
    EXPECT_EQ(out_.view(), std::string_view("before")) << "a refusal leaves nothing behind";
    return refused->header + ": " + refused->detail;
  }

  // The values of every line whose name folds to that of `name`: what an upstream that follows CGI would read.
  static std::vector<std::string> values(const std::vector<std::string>& lines, std::string_view name) {
    std::vector<std::string> found;
    for (std::size_t i = 1; i < lines.size(); ++i) {
      const std::size_t colon = lines[i].find(':');
      if (fold_alike(std::string_view(lines[i]).substr(0, colon), name))
        found.push_back(lines[i].substr(std::min(colon + 2, lines[i].size())));
    }
    return found;
  }

  static Permit alice() { return PermitBuilder::of(IdentityBuilder().roles({"admin", "user"}).scopes({"orders:read"}).build()); }
  static Permit with_claims(std::string_view json) { return PermitBuilder::of(IdentityBuilder().claims(json).build()); }
  void name_headers(const std::vector<std::pair<std::string, std::string>>& headers) {
    plan_.headers.clear();
    for (const auto& [name, source] : headers) {
      plan_.headers.push_back(parse_identity_header(name, source).value());
      owned_headers_.push_back(name);
    }
  }

  http::Limits limits_;
  http::RequestHead request_;
  std::string raw_;
  OutboundPlan plan_;
  std::vector<std::string> owned_headers_;
  OutboundContext context_{.client_address = "192.0.2.7", .scheme = "https", .request_id = "0a1b2c", .traceparent = kTraceparent};
  ByteBuffer out_;
  std::string head_;
  std::string target_;
};

}  // namespace sallyport::identity::testing
