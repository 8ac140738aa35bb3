#include "upstream/answer_rules.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::upstream {
namespace {

std::string text(const std::vector<http::Field>& fields) {
  std::string out;
  for (const http::Field& field : fields) out.append(field.name).append(": ").append(field.value).append("\n");
  return out;
}

TEST(AnswerRules, RemoveSetAndAddWithoutRegardToLetterCase) {
  std::vector<http::Field> fields{{"X-Powered-By", "php"}, {"cache-control", "public"}, {"Cache-Control", "max-age=1"}, {"Link", "<a>"}};
  AnswerRules rules;
  rules.remove = {"x-powered-by"};
  rules.set = {{"Cache-Control", "private"}};
  rules.add = {{"Link", "<b>"}};
  apply(rules, false, fields);
  EXPECT_EQ(text(fields), "Link: <a>\nCache-Control: private\nLink: <b>\n");
}

TEST(AnswerRules, TakeAwayWhatTheUpstreamSaysOfCors) {
  std::vector<http::Field> fields{{"Access-Control-Allow-Origin", "*"}, {"access-control-max-age", "5"}, {"Vary", "Accept"}};
  AnswerRules rules;
  rules.drops_cors = rules.varies_by_origin = true;
  apply(rules, false, fields);
  EXPECT_EQ(text(fields), "Vary: Accept\nVary: Origin\n");
}

TEST(SecurityHeaders, AreAllThereOverTls) {
  std::vector<http::Field> fields;
  add_security_headers(true, fields);
  EXPECT_EQ(text(fields),
            "Strict-Transport-Security: max-age=31536000\nX-Content-Type-Options: nosniff\n"
            "Referrer-Policy: strict-origin-when-cross-origin\nContent-Security-Policy: frame-ancestors 'none'\nX-Frame-Options: DENY\n");
}

TEST(SecurityHeaders, SayNothingOfTransportWithoutTls) {
  std::vector<http::Field> fields;
  add_security_headers(false, fields);
  EXPECT_EQ(text(fields).find("Strict-Transport"), std::string::npos);
}

TEST(SecurityHeaders, LeaveTheUpstreamsOwn) {
  std::vector<http::Field> fields{{"x-content-type-options", "x"},
                                  {"referrer-policy", "same-origin"},
                                  {"x-frame-options", "SAMEORIGIN"},
                                  {"strict-transport-security", "max-age=1"}};
  add_security_headers(true, fields);
  EXPECT_EQ(fields.size(), 4U) << "a policy of frame-ancestors would overrule X-Frame-Options: " << text(fields);
}

TEST(SecurityHeaders, LeaveFramesToAPolicyThatSpeaksOfThem) {
  std::vector<http::Field> own{{"Content-Security-Policy", "default-src 'self'; Frame-Ancestors https://a.example"}};
  add_security_headers(false, own);
  EXPECT_EQ(text(own).find("X-Frame-Options"), std::string::npos);
  std::vector<http::Field> silent{{"Content-Security-Policy", "default-src 'self'"}};
  add_security_headers(false, silent);
  EXPECT_NE(text(silent).find("X-Frame-Options: DENY"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::upstream
