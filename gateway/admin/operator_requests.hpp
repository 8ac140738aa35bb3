// POST /revocations, POST /sessions and GET /sessions (DESIGN §3.3).
#pragma once

#include <optional>

#include "admin/answer.hpp"
#include "admin/controls.hpp"
#include "base/clock.hpp"
#include "base/task.hpp"
#include "http/exchange.hpp"

namespace sallyport::admin {

inline constexpr std::size_t kBodyBytesMax = 64 * 1024;

// The refusal of a request that a browser may have been made to send; nullopt for every other. Where the listener asks for a token no page
// can know it; without, any page that is open on this machine reaches the listener. So: no Origin, no Sec-Fetch-Site but `none` and
// `same-origin`, and a Host that is an address or `localhost`, which a name that was pointed to this machine (DNS rebinding) is not.
[[nodiscard]] std::optional<Answer> refuse_pages(const http::RequestHead& request);

// Each reads the request and answers it; nullopt when the client went away within its body. `exchange` and `controls` outlive the call.
[[nodiscard]] Task<std::optional<Answer>> post_revocation(http::Exchange& exchange, Controls& controls);
[[nodiscard]] Task<std::optional<Answer>> post_session(http::Exchange& exchange, Controls& controls);
[[nodiscard]] Task<std::optional<Answer>> list_sessions(http::Exchange& exchange, Controls& controls, const Clock& clock);

}  // namespace sallyport::admin
