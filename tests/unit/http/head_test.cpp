#include "http/head.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/text.hpp"

namespace sallyport::http {
namespace {

TEST(MethodOf, KnowsTheFixedSet) {
  EXPECT_EQ(Method::get, method_of("GET"));
  EXPECT_EQ(Method::head, method_of("HEAD"));
  EXPECT_EQ(Method::post, method_of("POST"));
  EXPECT_EQ(Method::put, method_of("PUT"));
  EXPECT_EQ(Method::patch, method_of("PATCH"));
  EXPECT_EQ(Method::delete_, method_of("DELETE"));
  EXPECT_EQ(Method::options, method_of("OPTIONS"));
  EXPECT_EQ(Method::connect, method_of("CONNECT"));
  EXPECT_EQ(Method::trace, method_of("TRACE"));
}

TEST(MethodOf, J19_TakesAnotherSpellingForAnotherMethod) {
  for (const std::string_view token : {"get", "Get", "GETS", "GE", "", "PROPFIND"}) EXPECT_EQ(Method::other, method_of(token)) << token;
}

TEST(Methods, AreSafeOrIdempotentAsRfc9110Says) {
  for (const Method method : {Method::get, Method::head, Method::options, Method::trace}) {
    EXPECT_TRUE(is_safe(method));
    EXPECT_TRUE(is_idempotent(method));
  }
  for (const Method method : {Method::put, Method::delete_}) {
    EXPECT_FALSE(is_safe(method));
    EXPECT_TRUE(is_idempotent(method));
  }
  for (const Method method : {Method::post, Method::patch, Method::connect, Method::other}) {
    EXPECT_FALSE(is_safe(method));
    EXPECT_FALSE(is_idempotent(method));
  }
}

TEST(FieldIdOf, KnowsEachNameWithoutLetterCase) {
  const std::vector<std::pair<std::string_view, FieldId>> names{{"Host", FieldId::host},
                                                                {"AUTHORIZATION", FieldId::authorization},
                                                                {"cookie", FieldId::cookie},
                                                                {"Content-Length", FieldId::content_length},
                                                                {"tRANSFER-eNCODING", FieldId::transfer_encoding},
                                                                {"Expect", FieldId::expect},
                                                                {"Date", FieldId::date},
                                                                {"Server", FieldId::server},
                                                                {"Content-Type", FieldId::content_type},
                                                                {"Set-Cookie", FieldId::set_cookie},
                                                                {"Location", FieldId::location},
                                                                {"Origin", FieldId::origin},
                                                                {"Sec-Fetch-Site", FieldId::sec_fetch_site},
                                                                {"traceparent", FieldId::traceparent},
                                                                {"tracestate", FieldId::tracestate},
                                                                {"X-Request-Id", FieldId::x_request_id},
                                                                {"Via", FieldId::via},
                                                                {"Retry-After", FieldId::retry_after},
                                                                {"Connection", FieldId::connection},
                                                                {"Keep-Alive", FieldId::keep_alive},
                                                                {"Proxy-Connection", FieldId::proxy_connection},
                                                                {"TE", FieldId::te},
                                                                {"Trailer", FieldId::trailer},
                                                                {"Upgrade", FieldId::upgrade},
                                                                {"Proxy-Authenticate", FieldId::proxy_authenticate},
                                                                {"Proxy-Authorization", FieldId::proxy_authorization}};
  for (const auto& [name, id] : names) {
    EXPECT_EQ(id, field_id(name)) << name;
    EXPECT_EQ(id, field_id(to_lower(name))) << name;
    std::string upper(name);
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    EXPECT_EQ(id, field_id(upper)) << upper;
  }
}

TEST(FieldIdOf, TakesAnAliasForAnotherName) {
  for (const std::string_view name :
       {"", "Hos", "Hosts", "Content_Length", "Transfer_Encoding", "X-User-Id", "Proxy-Authorizations", "t"}) {
    EXPECT_EQ(FieldId::other, field_id(name)) << name;
  }
}

TEST(RequestHead, FindsAndCountsFields) {
  RequestHead head;
  head.fields = {{"Cookie", "a", FieldId::cookie}, {"X-A", "1", FieldId::other}, {"cookie", "b", FieldId::cookie}};
  EXPECT_EQ(2U, head.count(FieldId::cookie));
  EXPECT_EQ("a", head.find(FieldId::cookie)->value);
  EXPECT_EQ("1", head.find("x-a")->value);
  EXPECT_EQ(nullptr, head.find("x-b"));
  EXPECT_EQ(nullptr, head.find(FieldId::host));
  EXPECT_EQ(0U, head.count(FieldId::host));
}

TEST(RequestFaults, HaveTheAnswersOfTheContract) {
  const std::vector<std::pair<RequestFault, int>> answers{
      {RequestFault::malformed, 400},          {RequestFault::bad_target, 400},      {RequestFault::bad_host, 400},
      {RequestFault::bad_framing, 400},        {RequestFault::method_refused, 405},  {RequestFault::version_unsupported, 505},
      {RequestFault::expectation_failed, 417}, {RequestFault::target_too_long, 414}, {RequestFault::head_too_large, 431},
      {RequestFault::body_too_large, 413},     {RequestFault::timed_out, 408}};
  for (const auto& [fault, status] : answers) {
    EXPECT_EQ(status, status_of(fault)) << name(fault);
    EXPECT_FALSE(reason_phrase(status).empty());
  }
}

TEST(ReasonPhrase, IsEmptyForAnUnregisteredCode) {
  EXPECT_EQ("Not Found", reason_phrase(404));
  EXPECT_EQ("OK", reason_phrase(200));
  EXPECT_EQ("", reason_phrase(299));
  EXPECT_EQ("", reason_phrase(0));
}

}  // namespace
}  // namespace sallyport::http
