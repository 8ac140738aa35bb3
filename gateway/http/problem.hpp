// Problem documents (RFC 9457): what every refusal's body is.
#pragma once

#include <string>
#include <string_view>

namespace sallyport::http {

inline constexpr std::string_view kProblemContentType = "application/problem+json";

// {"type":"about:blank","title":…,"status":…,"detail":…,"request_id":…}. An empty `title` becomes the status' phrase, as RFC 9457 §4.2.1
// wants for about:blank; an empty `detail` or `request_id` is left out. All is escaped; bytes that are no UTF-8 are the caller's fault.
[[nodiscard]] std::string problem_json(int status, std::string_view title, std::string_view detail, std::string_view request_id);

}  // namespace sallyport::http
