#include "pipeline/request_cookies.hpp"

#include "http/cookie.hpp"

namespace sallyport::pipeline {

NamedCookies cookies_named(const http::RequestHead& request, std::string_view name) noexcept {
  NamedCookies found;
  for (const http::Field& field : request.fields) {
    if (field.id != http::FieldId::cookie) continue;
    http::CookieReader reader(field.value);
    http::CookiePair pair;
    while (reader.next(pair)) {
      if (pair.name != name) continue;
      if (found.count++ == 0) found.value = pair.value;
    }
  }
  return found;
}

}  // namespace sallyport::pipeline
