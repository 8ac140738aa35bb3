// Tokens that are always the same, so that what is counted is, too, with the public keys that verify them. Made with `sallyport keys
// generate` and `sallyport token sign`; the private halves were thrown away, and the secret of HS256 has never guarded anything.
#pragma once

#include <array>
#include <string_view>

#include "authenticate/keys.hpp"

namespace sallyport::micro {

struct SignedToken {
  authenticate::Algorithm algorithm;
  std::string_view jwks;   // what verifies it
  std::string_view pem;    // the same key for OpenSSL; empty: a secret
  std::string_view token;  // of https://issuer.example for `api`, good at sallyport::testing::kNow
};

// clang-format off
inline constexpr std::array<SignedToken, 4> kSignedTokens{{
  {.algorithm = authenticate::Algorithm::hs256,
   .jwks =
    R"({"keys":[{"kty":"oct","k":"nJKsQzggW6N-WeSzMz9OTKj_4CNm-nOyVX5HCfAYaEk","kid":"hs256","use":"sig","alg":"HS256)"
    R"("}]})",
   .pem =
    "",
   .token =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImhzMjU2In0.eyJpc3MiOiAiaHR0cHM6Ly9pc3N1ZXIuZXhhbXBsZSIsICJhdWQiOi"
    "AiYXBpIiwgInN1YiI6ICJ1c2VyLTAwMDEiLCAicm9sZXMiOiBbInJlYWRlciJdLCAic2NvcGUiOiAib3JkZXJzOnJlYWQgb3JkZXJzOndyaXRl"
    "IiwgImVtYWlsIjogInVzZXJAbG9hZC5leGFtcGxlIiwgImp0aSI6ICJhMWIyYzNkNC0xIiwgImlhdCI6IDE3MDAwMDAwMDAsICJleHAiOiAxNz"
    "AwMDAwNjAwfQ.xXwoDqIEa_XLt3B3m_bNHDPiizBNJYlawio9llp5yF0"},
  {.algorithm = authenticate::Algorithm::rs256,
   .jwks =
    R"({"keys":[{"kty":"RSA","n":"1VgWhcybzk6iVIWQVjd7ErtzJ_nn7nfBnketEy39y3VyUxn9k_1O_YD0hgjrMK5kxNP-BA68HbQCJF7K14v)"
    R"(Dm-9-WB7juGUV2pSowkS1QpEnK55MCc0s4XZSpa3l6ZAqmrbUl6wyiQBRkueNuTQLKUgHmyfuPpkLE-PgdFPOGzkgw3GZkuJlr436p4WAy0qS6)"
    R"(Rlknc33eepLedYXXY8E0u8l8rscVpmMm2MKqikOUzADkT1iIq62fD_i9tewV8kyLrdOaU2tJ4mqN0dQlLfEwmNURm9WKHUVvzQcCQOpm5irw4m)"
    R"(6oSN0rq6wa4OuhasK668oKFbhC9KeK6TxUH2rPw","e":"AQAB","kid":"rs256","use":"sig","alg":"RS256"}]})",
   .pem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1VgWhcybzk6iVIWQVjd7ErtzJ/nn7nfB\n"
    "nketEy39y3VyUxn9k/1O/YD0hgjrMK5kxNP+BA68HbQCJF7K14vDm+9+WB7juGUV2pSowkS1QpEn\n"
    "K55MCc0s4XZSpa3l6ZAqmrbUl6wyiQBRkueNuTQLKUgHmyfuPpkLE+PgdFPOGzkgw3GZkuJlr436\n"
    "p4WAy0qS6Rlknc33eepLedYXXY8E0u8l8rscVpmMm2MKqikOUzADkT1iIq62fD/i9tewV8kyLrdO\n"
    "aU2tJ4mqN0dQlLfEwmNURm9WKHUVvzQcCQOpm5irw4m6oSN0rq6wa4OuhasK668oKFbhC9KeK6Tx\n"
    "UH2rPwIDAQAB\n"
    "-----END PUBLIC KEY-----\n",
   .token =
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzMjU2In0.eyJpc3MiOiAiaHR0cHM6Ly9pc3N1ZXIuZXhhbXBsZSIsICJhdWQiOi"
    "AiYXBpIiwgInN1YiI6ICJ1c2VyLTAwMDEiLCAicm9sZXMiOiBbInJlYWRlciJdLCAic2NvcGUiOiAib3JkZXJzOnJlYWQgb3JkZXJzOndyaXRl"
    "IiwgImVtYWlsIjogInVzZXJAbG9hZC5leGFtcGxlIiwgImp0aSI6ICJhMWIyYzNkNC0xIiwgImlhdCI6IDE3MDAwMDAwMDAsICJleHAiOiAxNz"
    "AwMDAwNjAwfQ.skm1oo2G2yAEhH4fX3T0z3A8pzUOab0h6HNRjBz1De7aHNCc5rVt8Ns6ZH4g5gbEC2qFzQ2003wgt0hD1nebo_mwkfIqHd3QR"
    "XCASj3nrOnyRZP8Bd9qaWbxJSh3NwsBmGSxbBkp-C4Z3_3KtGqnNiZ7BHMWH0k25fhZ8Sy2TG3YvKhwYP_BqwIkSaaxm-y5Td14V0dq5KI6wWS"
    "r0vY4JME6vh8Pwz4shtXRQ89xnClUXkpmiHuRvj55727z7dRg9Ev5dC6wjx8nY7UGAiTRAN71zWUMIC_mc86OpFQxarecMWri2YGHPzt1FBXPE"
    "KwtgvJJHoKF_9RMeujnGqMK2w"},
  {.algorithm = authenticate::Algorithm::es256,
   .jwks =
    R"({"keys":[{"kty":"EC","crv":"P-256","x":"1dez7M6Nwek7XEBnspmkf-djM48RrD5X-gMdutLG2_c","y":"qZEyA4jT6RGPCRkDPk8a)"
    R"(2lqMjYtqwn5rRd0e_mPqp1Q","kid":"es256","use":"sig","alg":"ES256"}]})",
   .pem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1dez7M6Nwek7XEBnspmkf+djM48RrD5X+gMdutLG\n"
    "2/epkTIDiNPpEY8JGQM+TxraWoyNi2rCfmtF3R7+Y+qnVA==\n"
    "-----END PUBLIC KEY-----\n",
   .token =
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVzMjU2In0.eyJpc3MiOiAiaHR0cHM6Ly9pc3N1ZXIuZXhhbXBsZSIsICJhdWQiOi"
    "AiYXBpIiwgInN1YiI6ICJ1c2VyLTAwMDEiLCAicm9sZXMiOiBbInJlYWRlciJdLCAic2NvcGUiOiAib3JkZXJzOnJlYWQgb3JkZXJzOndyaXRl"
    "IiwgImVtYWlsIjogInVzZXJAbG9hZC5leGFtcGxlIiwgImp0aSI6ICJhMWIyYzNkNC0xIiwgImlhdCI6IDE3MDAwMDAwMDAsICJleHAiOiAxNz"
    "AwMDAwNjAwfQ.ZS0Wqn-p91LC4WvQf2WVUqVE8PvI0n2bJb4zl2tHwokUqp4F-O3l897c4DsBLAMR_V4DKpi99jT2_Dzui2CCcA"},
  {.algorithm = authenticate::Algorithm::eddsa,
   .jwks =
    R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"M6GyqrwslC6l0Mi2Yxcum0YB6-PFXJ8U-3xRLoF61WY","kid":"eddsa","use":"s)"
    R"(ig","alg":"EdDSA"}]})",
   .pem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAM6GyqrwslC6l0Mi2Yxcum0YB6+PFXJ8U+3xRLoF61WY=\n"
    "-----END PUBLIC KEY-----\n",
   .token =
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImVkZHNhIn0.eyJpc3MiOiAiaHR0cHM6Ly9pc3N1ZXIuZXhhbXBsZSIsICJhdWQiOi"
    "AiYXBpIiwgInN1YiI6ICJ1c2VyLTAwMDEiLCAicm9sZXMiOiBbInJlYWRlciJdLCAic2NvcGUiOiAib3JkZXJzOnJlYWQgb3JkZXJzOndyaXRl"
    "IiwgImVtYWlsIjogInVzZXJAbG9hZC5leGFtcGxlIiwgImp0aSI6ICJhMWIyYzNkNC0xIiwgImlhdCI6IDE3MDAwMDAwMDAsICJleHAiOiAxNz"
    "AwMDAwNjAwfQ.dClOj45G9JUx9QhUCHvF-OGeiekSd1G9VA513KUl_qpGo6EtcslXEZrtT0PywKQMbWfcIKQB7rh2WZhXWefFCQ"},
}};
// clang-format on

}  // namespace sallyport::micro
