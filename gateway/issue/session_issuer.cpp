#include "issue/session_issuer.hpp"

namespace sallyport::issue {
namespace {

Error no_keys() { return make_error(Fault::unavailable, "the keys of session ids are not known yet"); }

}  // namespace

Task<Result<IssuedSession>> SessionIssuer::begin(Principal principal, authenticate::SessionSettingsPtr settings) {
  const authenticate::TagKeysPtr keys = sessions_.keys();
  if (!keys) co_return no_keys();
  authenticate::TagKeys::NewSessionId id = keys->make_session_id();
  store::NewSession session;
  session.key = id.key;
  session.subject = std::move(principal.subject);
  session.claims = std::move(principal.claims);
  session.idle_timeout = settings->idle_timeout;
  session.absolute_timeout = settings->absolute_timeout;
  const Result<void> created = co_await store_.create_session(std::move(session));
  if (!created) co_return created.error();
  co_return IssuedSession{std::move(id.text), store::handle_of(id.key)};
}

Task<Result<bool>> SessionIssuer::end(std::string cookie_value, authenticate::SessionSettingsPtr settings) {
  const authenticate::TagKeysPtr keys = sessions_.keys();
  if (!keys) co_return no_keys();
  const std::optional<authenticate::SessionId> id = keys->open_session_id(cookie_value);
  if (!id) co_return false;
  co_return co_await end_by_handle(store::handle_of(id->key), std::move(settings));
}

Task<Result<bool>> SessionIssuer::end_by_handle(std::string handle, authenticate::SessionSettingsPtr settings) {
  const std::optional<store::Digest> key = store::digest_of_handle(handle);
  if (!key) co_return false;
  // Replayed cookies of ended sessions must not fill the channel.
  const Result<std::optional<store::Session>> found = co_await store_.find_session(*key);
  if (!found) co_return found.error();
  if (!found->has_value()) co_return false;
  store::Revocation revocation;
  revocation.kind = store::Revocation::Kind::session;
  revocation.value = std::move(handle);
  revocation.keep_for = settings->absolute_timeout;
  const Result<void> revoked = co_await store_.revoke(std::move(revocation));
  if (!revoked) co_return revoked.error();
  // Not const: a const Result<bool> would be returned through its conversion to bool, as "it succeeded".
  Result<bool> ended = co_await store_.end_session(*key);
  co_return ended;
}

}  // namespace sallyport::issue
