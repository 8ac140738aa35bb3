#include "issue/revoker.hpp"

#include <algorithm>

#include <boost/asio/this_coro.hpp>

#include "base/text.hpp"
#include "base/timer.hpp"
#include "issue/date_time.hpp"

namespace sallyport::issue {
namespace {

using Kind = store::Revocation::Kind;

// Stores date to the millisecond. After twice that, what is created bears a later date than what was revoked.
constexpr std::chrono::milliseconds kTickOfDates{2};

Error bad_order(std::string detail) { return make_error(Fault::malformed, std::move(detail)); }

// A cookie's value and a handle never look alike: of 48 random bytes in base64url, 64 characters that are all lower-case hex are one in
// 2^128.
Error no_session_or_handle(std::string_view text, const authenticate::TagKeys* tags) {
  if (tags == nullptr && text.size() == authenticate::kTaggedIdChars && base64url_decode(text)) {
    return make_error(Fault::unavailable, "the keys that open it are not known yet");
  }
  return bad_order("neither one of ours nor a handle");
}

// "NAME:" and 64 hex digits: a session of another application.
bool is_foreign_handle(std::string_view text) {
  const std::size_t colon = text.find(':');
  return colon != std::string_view::npos && is_token(text.substr(0, colon)) && store::digest_of_handle(text.substr(colon + 1));
}

Result<std::string> session_handle(const std::string& text, const authenticate::TagKeys* tags) {
  if (store::digest_of_handle(text) || is_foreign_handle(text)) return text;
  if (tags != nullptr) {
    if (const auto opened = tags->open_session_id(text)) return store::handle_of(opened->key);
  }
  return no_session_or_handle(text, tags);
}

Result<std::string> family_handle(const std::string& text, const authenticate::TagKeys* tags) {
  if (store::digest_of_handle(text)) return text;
  if (tags != nullptr) {
    if (const auto opened = tags->open_refresh_token(text)) return store::handle_of(opened->family_key);
  }
  return no_session_or_handle(text, tags);
}

Result<std::string> read_value(Kind kind, const Json& stated, const authenticate::TagKeys* tags) {
  const std::string* text = stated.string();
  if (text == nullptr || text->empty()) return bad_order("what is to be revoked is no string or empty");
  if (text->size() > kRevokedValueBytesMax) return bad_order("what is to be revoked is over 1 KiB");
  switch (kind) {
    case Kind::session: return session_handle(*text, tags);
    case Kind::family: return family_handle(*text, tags);
    case Kind::subject:
    case Kind::token_id: return *text;
    case Kind::everything: break;
  }
  return bad_order("everything has no value");
}

Result<WallTime> read_time(const Json& stated, WallTime now) {
  const std::string* text = stated.string();
  const auto read = text == nullptr ? std::nullopt : parse_date_time(*text);
  if (!read) return bad_order("issued_before is no RFC 3339 date and time");
  // In seconds first: years that system_clock cannot hold are refused before they are converted.
  const auto latest = std::chrono::floor<std::chrono::seconds>(now + kRevocationSkewMax);
  if (read->second < std::chrono::sys_seconds{}) return bad_order("issued_before is before 1970");
  if (read->second > latest) return bad_order("issued_before is in the future: until then every login would be refused");
  return WallTime(read->second.time_since_epoch()) + std::chrono::ceil<std::chrono::milliseconds>(read->fraction);
}

}  // namespace

std::chrono::milliseconds RevocationTimes::longest() const noexcept { return std::max({session, family, everything_else}); }

std::chrono::milliseconds RevocationTimes::of(Kind kind) const noexcept {
  switch (kind) {
    case Kind::session: return session;
    case Kind::family: return family;
    case Kind::token_id: return everything_else;
    case Kind::subject:
    case Kind::everything: break;
  }
  return longest();
}

Result<store::Revocation> read_revocation(const Json& document, const authenticate::TagKeys* tags, const RevocationTimes& times,
                                          WallTime now) {
  const JsonObject* members = document.object();
  if (members == nullptr) return bad_order("no JSON object");
  store::Revocation revocation;
  revocation.kind = Kind::everything;
  for (const auto& [member, value] : *members) {
    if (member == "issued_before") {
      const Result<WallTime> time = read_time(value, now);
      if (!time) return time.error();
      revocation.issued_before = *time;
      continue;
    }
    const std::optional<Kind> kind = store::parse_revocation_kind(member);
    if (!kind || *kind == Kind::everything) return bad_order("an unknown member");
    if (revocation.kind != Kind::everything) return bad_order("two things to revoke at once");
    Result<std::string> what = read_value(*kind, value, tags);
    if (!what) return what.error();
    revocation.kind = *kind;
    revocation.value = std::move(*what);
  }
  // An empty object is no wish to revoke everything.
  if (revocation.kind == Kind::everything && !revocation.issued_before) return bad_order("nothing to revoke");
  // How long a session of another application lives is that application's to say.
  const bool is_foreign = revocation.kind == Kind::session && !store::digest_of_handle(revocation.value);
  revocation.keep_for = times.of(is_foreign ? Kind::subject : revocation.kind);
  return revocation;
}

Task<Result<void>> Revoker::revoke(store::Revocation revocation) {
  const Kind kind = revocation.kind;
  const bool is_of_now = !revocation.issued_before;
  std::string value = revocation.value;
  const Result<void> revoked = co_await store_.revoke(std::move(revocation));
  if (!revoked) co_return revoked.error();
  metrics_.revocation(store::name(kind));
  if (is_of_now) co_await tidy(kind, std::move(value));
  // Who signs in once he has heard that it is done is not meant, however quick he is.
  if (is_of_now && kind == Kind::subject) {
    Task<void> later = pause(co_await boost::asio::this_coro::executor, kTickOfDates);
    co_await std::move(later);
  }
  co_return Result<void>();
}

Task<void> Revoker::tidy(Kind kind, std::string value) {
  const std::optional<store::Digest> key = store::digest_of_handle(value);
  switch (kind) {
    case Kind::session:
      if (key) {
        const Result<bool> ended = co_await store_.end_session(*key);
        (void)ended;  // refused already; the record goes by its own end
      }
      break;
    case Kind::family:
      if (key) {
        const Result<bool> ended = co_await store_.end_family(*key);
        (void)ended;
      }
      break;
    case Kind::subject: {
      const Result<void> ended = co_await store_.end_all_of(std::move(value));
      (void)ended;
      break;
    }
    case Kind::token_id:
    case Kind::everything: break;
  }
}

Task<Result<void>> Revoker::revoke_subject(std::string subject) {
  store::Revocation revocation;
  revocation.kind = Kind::subject;
  revocation.value = std::move(subject);
  revocation.keep_for = times_.of(Kind::subject);
  return revoke(std::move(revocation));
}

}  // namespace sallyport::issue
